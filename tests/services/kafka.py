"""A real Kafka for tests: the one that the environment names, else a container, else the published
jars.

`AO_TEST_KAFKA` names a cluster (host:port) in which tests make topics of their own and leave them.
`AO_TEST_KAFKA_VERSION` chooses among `VERSIONS`.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.services.jars import JarSet, NotHere, jars, java
from tests.services.run import Told, keep, service

#: A cluster id in Kafka's own form, so that it need not be asked for one.
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
JAVA = 17
START_SECONDS = 90
QUICK = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
CONF = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # A broker that was killed comes back as soon as its old session is over.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "200",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


class Version(NamedTuple):
    """A release of Kafka: its jars and its image."""

    jars: JarSet
    image: str


def _version(release: str, digest: str) -> Version:
    coordinates = (
        f"org.apache.kafka:kafka_2.13:{release}",
        f"org.apache.kafka:kafka-tools:{release}",
    )
    return Version(JarSet(f"kafka-{release}", coordinates, digest), f"apache/kafka:{release}")


VERSIONS = {
    "4.1": _version("4.1.1", "ed73b467c0d5d4567b1fb572248d823b1fb916c2a4b3420425504b3faf4a0e0d"),
    "4.3": _version("4.3.1", "94c2f0fb38087896ee44f6a37eb6f20965084ebc06ea91ab75a9b6d6ae54ad9f"),
}


def version() -> Version:
    """The release that is asked for."""
    return VERSIONS[os.environ.get("AO_TEST_KAFKA_VERSION", "4.1")]


def bootstrap_servers() -> str:
    """The run's cluster, started if it is not there; see `service`."""
    return os.environ.get("AO_TEST_KAFKA") or service("kafka")["bootstrap_servers"]


class Broker:
    """One broker from jars in a new folder, controller too; it may be killed, and started again at
    the same address with what it had.

    `settings` are added to its own, `listener` is the security protocol of its clients, `options`
    are Java's: those for tests start quickly, which is not what a measurement wants. `voters` has
    the controller's port of each node of a cluster. Clients that come over `proxied` are told to
    stay there: from that port a proxy has to lead to `upstream`. Its wall clock is off by as many
    seconds as the file `clock` says.
    """

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, str] | None = None,
        *,
        listener: str = "PLAINTEXT",
        options: Sequence[str] = QUICK,
        node: int = 1,
        voters: Mapping[int, int] | None = None,
        proxied: int | None = None,
        clock: Path | None = None,
    ) -> None:
        self.home = home
        self.node = node
        self.process: subprocess.Popen[bytes] | None = None
        classes = f"{jars(version().jars)}{os.sep}*"
        if clock is not None:
            options = (*options, f"-Dclock={clock}")
            classes = f"{_clock(home.with_name(f'{home.name}-clock'))}{os.pathsep}{classes}"
        self._java = [str(java(JAVA)), *options, "-cp", classes]
        self.port = free_port()
        ports = voters or {node: free_port()}
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.upstream = free_port()
        # By listener: the port that it has, and the one that clients are told.
        clients = {"CLIENTS": (self.port, self.port)}
        if proxied is not None:
            clients["PROXIED"] = (self.upstream, proxied)
        here = (f"{name}://127.0.0.1:{port}" for name, (port, _) in clients.items())
        told = (f"{name}://127.0.0.1:{port}" for name, (_, port) in clients.items())
        protocols = (f"{name}:{listener}" for name in clients)
        lines = {
            **CONF,
            "node.id": str(node),
            "listeners": ",".join([*here, f"CONTROLLER://127.0.0.1:{ports[node]}"]),
            "advertised.listeners": ",".join(told),
            "inter.broker.listener.name": "CLIENTS",
            "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p}" for n, p in ports.items()),
            "log.dirs": str(home / "data"),
            **(settings or {}),
        }
        home.mkdir(parents=True)
        self._conf = home / "server.properties"
        self._conf.write_text("".join(f"{k}={v}\n" for k, v in lines.items()), "utf-8")
        self.run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._conf))

    def command(self, program: str) -> list[str]:
        """One of Kafka's own tools, as a command that takes its arguments."""
        return [*self._java, program]

    def run(self, program: str, *arguments: str) -> None:
        """Run one of Kafka's own tools to its end."""
        done = subprocess.run(
            [*self.command(program), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it, as one of several that wait for each other."""
        with self._output.open("ab") as file:
            self.process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._conf)],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def wait(self) -> None:
        """Wait until it accepts connections."""
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(self.port):
            if not self.is_alive or time.monotonic() > deadline:
                self.kill()
                said = self._output.read_text("utf-8")[-4000:]
                raise RuntimeError(f"Kafka did not start:\n{said}")
            time.sleep(0.05)

    @property
    def _output(self) -> Path:
        return self.home / "output.txt"

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def _clock(folder: Path) -> Path:
    """A folder with the clock that Kafka is to take instead of its own."""
    source = Path(__file__).with_name("SystemTime.java")
    words = ("-cp", f"{jars(version().jars)}{os.sep}*", "-d", folder, source)
    subprocess.run([java(JAVA).with_name("javac"), *words], check=True)
    return folder


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def own_broker(
    home: Path, settings: Mapping[str, str] | None = None, **options: Any
) -> Generator[Broker]:
    """A started broker for tests that do to it what others could not bear. Skips the test where
    this machine cannot run it; in CI that is a failure."""
    with _started(lambda: [Broker(home, settings, **options)]) as [broker]:
        yield broker


@contextmanager
def own_cluster(folder: Path, size: int) -> Generator[list[Broker]]:
    """The same with several brokers, each of which has everything."""
    voters = {node: free_port() for node in range(1, size + 1)}
    copies = {name: str(size) for name in CONF if name.endswith("replication.factor")}
    with _started(
        lambda: [Broker(folder / str(n), copies, node=n, voters=voters) for n in voters]
    ) as brokers:
        yield brokers


@contextmanager
def _started(make: Callable[[], list[Broker]]) -> Generator[list[Broker]]:
    try:
        brokers = make()
    except NotHere as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Kafka of its own: {error}")
    try:
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            broker.wait()
        yield brokers
    finally:
        for broker in brokers:
            if broker.is_alive:
                broker.kill()


@contextmanager
def from_container(folder: Path) -> Generator[Told]:
    """The published image, where Docker answers."""
    try:
        import docker
        from testcontainers.core.container import DockerContainer

        docker.from_env().ping()  # type: ignore[reportUnknownMemberType]
    except Exception as error:
        raise NotHere(f"Docker does not answer ({type(error).__name__})") from error
    port, controller = free_port(), free_port()
    address = f"127.0.0.1:{port}"
    lines = {
        **CONF,
        "node.id": "1",
        "listeners": f"CLIENTS://0.0.0.0:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENTS://{address}",
        "inter.broker.listener.name": "CLIENTS",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }
    container = DockerContainer(version().image).with_bind_ports(port, port)
    for name, value in lines.items():
        container = container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
    with container:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not start: {container.get_logs()}")
            time.sleep(0.05)
        yield {"bootstrap_servers": address}


@contextmanager
def from_jars(folder: Path) -> Generator[Told]:
    """The published jars, where there are Maven and Java."""
    broker = Broker(folder)
    broker.start()
    try:
        yield {"bootstrap_servers": broker.bootstrap_servers}
    finally:
        # Nobody needs its files any more.
        broker.kill()


if __name__ == "__main__":
    keep("kafka", from_container, from_jars)
