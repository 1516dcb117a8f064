"""A real Neo4j for tests: the one that the environment names, else a container, else the published
jars.

`AO_TEST_NEO4J_URI` (with `AO_TEST_NEO4J_USERNAME` and `AO_TEST_NEO4J_PASSWORD`) names a server
whose content is of no value: tests delete all of it. `AO_TEST_NEO4J_VERSION` chooses among
`VERSIONS`.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from neo4j import GraphDatabase
from pydantic import SecretStr

from agent_orchestration.config import Database
from tests.services.jars import JarSet, NotHere, jars, java
from tests.services.run import Told, keep, needed, service, turn

USERNAME = "neo4j"
PASSWORD = "only-for-tests"
#: A server that was just made lets nobody in before its first password is changed.
FIRST_PASSWORD = "neo4j"
QUICK = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent", "java.lang")
CONF = """\
server.bolt.enabled=true
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.memory.pagecache.size={page_cache}
dbms.security.auth_enabled=true
dbms.usage_report.enabled=false
"""


class Version(NamedTuple):
    """A release of Neo4j: its jars, the Java that it needs, and its image."""

    jars: JarSet
    java: int
    image: str


VERSIONS = {
    "5.26": Version(
        JarSet(
            "neo4j-5.26.30",
            ("org.neo4j:neo4j:5.26.30",),
            "3dbd87c057cf3eee63575b5c056d23047ce27e43b2842391403144d0ae79c4d2",
        ),
        17,
        "neo4j:5.26-community",
    ),
    "2026.08": Version(
        JarSet(
            "neo4j-2026.08.1",
            ("org.neo4j:neo4j:2026.08.1",),
            "c7beb357d0a805e75afa00620837b8ff7d21ecdc7eac2c73659b2b5643a0a97a",
        ),
        21,
        "neo4j:2026.08-community",
    ),
}


class Address(NamedTuple):
    """How to reach a server."""

    uri: str
    username: str = USERNAME
    password: str = PASSWORD


def version() -> Version:
    """The release that is asked for."""
    return VERSIONS[os.environ.get("AO_TEST_NEO4J_VERSION", "5.26")]


def server() -> Address:
    """The run's server, started if it is not there; see `service`."""
    if uri := os.environ.get("AO_TEST_NEO4J_URI"):
        names = {"username": "AO_TEST_NEO4J_USERNAME", "password": "AO_TEST_NEO4J_PASSWORD"}
        return Address(uri, **{k: v for k, name in names.items() if (v := os.environ.get(name))})
    return Address(**service("neo4j"))


@contextmanager
def emptied() -> Generator[Database]:
    """Settings for the run's server without any node, which is nobody else's meanwhile.

    There is one database: tests take turns. Constraints and indexes stay.
    """
    address = server()
    auth = (address.username, address.password)
    with turn("neo4j"):
        with GraphDatabase.driver(address.uri, auth=auth) as driver:  # pyright: ignore[reportUnknownMemberType]
            driver.execute_query("MATCH (n) DETACH DELETE n", database_="neo4j")
        yield Database(
            uri=address.uri, username=address.username, password=SecretStr(address.password)
        )


class JarServer:
    """A server from jars in a new folder; it may be killed and started again at the same address.

    `options` are Java's, `page_cache` the server's: those for tests start quickly and are small,
    which is not what a measurement wants; `settings` are further lines of its configuration.
    """

    def __init__(
        self,
        home: Path,
        wanted: Version,
        options: Sequence[str] = QUICK,
        page_cache: str = "64m",
        settings: str = "",
    ) -> None:
        self.home = home
        self.address = Address(f"bolt://127.0.0.1:{_free_port()}")
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [
            *(str(java(wanted.java)), *options),
            *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED),
            *("-cp", f"{jars(wanted.jars)}{os.sep}*"),
            *(str(Path(__file__).with_name("Neo4jServer.java")), str(home)),
        ]
        (home / "conf").mkdir(parents=True)
        port = self.address.uri.rpartition(":")[2]
        conf = CONF.format(port=port, page_cache=page_cache)
        (home / "conf" / "neo4j.conf").write_text(conf + settings, "utf-8")

    def start(self) -> None:
        """Start it and wait until it answers."""
        is_new = not (self.home / "data").exists()
        errors = self.home / "errors.txt"
        with errors.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output
            )
        assert self.process.stdout is not None
        if not any(line.startswith(b"started") for line in self.process.stdout):
            self.kill()
            raise RuntimeError(f"Neo4j did not start:\n{errors.read_text('utf-8')[-4000:]}")
        if is_new:
            _change_first_password(self.address)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


@contextmanager
def own_server(home: Path, options: Sequence[str] = QUICK) -> Generator[Address]:
    """A server for tests that need one for longer than others could wait for their turn. Skips the
    test where this machine cannot run it; in CI that is a failure."""
    with own_process(home, options) as server:
        yield server.address


@contextmanager
def own_process(
    home: Path, options: Sequence[str] = QUICK, settings: str = ""
) -> Generator[JarServer]:
    """The same for tests that do to it what others could not bear."""
    with needed("neo4j"):
        server = JarServer(home, version(), options, settings=settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _change_first_password(address: Address) -> None:
    auth = (address.username, FIRST_PASSWORD)
    with GraphDatabase.driver(address.uri, auth=auth) as driver:  # pyright: ignore[reportUnknownMemberType]
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
            {"old": FIRST_PASSWORD, "new": address.password},
            database_="system",
        )


@contextmanager
def from_container(folder: Path) -> Generator[Told]:
    """The published image, where Docker answers."""
    try:
        import docker
        from testcontainers.neo4j import Neo4jContainer

        docker.from_env().ping()  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:
        raise NotHere(f"Docker does not answer ({type(error).__name__})") from error
    with Neo4jContainer(version().image, password=PASSWORD, username=USERNAME) as container:
        yield Address(container.get_connection_url())._asdict()


@contextmanager
def from_jars(folder: Path) -> Generator[Told]:
    """The published jars, where there are Maven and Java."""
    found = JarServer(folder, version())
    found.start()
    try:
        yield found.address._asdict()
    finally:
        # Nobody needs its files any more.
        found.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        # Before the tests, whose time is limited.
        jars(version().jars)
    else:
        keep("neo4j", from_container, from_jars)
