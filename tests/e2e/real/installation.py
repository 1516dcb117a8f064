"""An installation on a real Kafka and a real Neo4j: its processes, each with a file of what it says
on standard output and one of its log."""

import contextlib
import json
import signal
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString, TypeVar

from neo4j import GraphDatabase

from tests.e2e.program import PROGRAM, environment, run, wait_for
from tests.services import kafka, neo4j

P = TypeVar("P", bound="Process")
TOKEN = "only-for-tests-0123456789"
#: The name by which others call the servers.
HOST = "agents.example"
#: A machine with much to do must not take processes for dead that are slow.
SESSION_MS = 6000
#: What may hold hundreds of thousands of nodes is emptied in parts: one transaction has no room.
EMPTY: tuple[LiteralString, ...] = (
    "MATCH ()-[n]->() CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS",
    "MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS",
)


def empty(database: neo4j.Address) -> None:
    """Delete all nodes; constraints and indexes stay."""
    auth = (database.username, database.password)
    with (
        GraphDatabase.driver(database.uri, auth=auth) as driver,  # pyright: ignore[reportUnknownMemberType]
        driver.session() as session,  # pyright: ignore[reportUnknownMemberType]
    ):
        for statement in EMPTY:
            session.run(statement).consume()


class Process:
    """One process of the installation; it may be ended and started again, and then goes on in the
    same files."""

    def __init__(
        self, name: str, command: list[str], folder: Path, variables: dict[str, str]
    ) -> None:
        self.name = name
        self.said = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and don't wait until it is ready."""
        with self.said.open("wb") as said, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environment(self._folder, self._variables),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def ready(self) -> bool:
        """Whether it says that it runs."""
        assert self.alive, f"{self.name} ended:\n{self.log.read_text('utf-8')[-4000:]}"
        return self.said.read_bytes().endswith(b"\n")

    def facts(self) -> dict[str, Any]:
        """What it says of itself, once it is ready."""
        wait_for(self.ready, f"{self.name} to be ready")
        return json.loads(self.said.read_bytes())

    def send(self, sent: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(sent)

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Server(Process):
    """A `serve`, or another `verb` that serves, always at the same address; of this `program`, or
    of another version of it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        variables: dict[str, str],
        verb: str = "serve",
        program: Sequence[str] = PROGRAM,
    ) -> None:
        port = kafka.free_port()
        self.url = f"http://127.0.0.1:{port}"
        words = [verb, "--json", "--port", str(port), "--tools", "all"]
        super().__init__(name, [*program, *words], folder, variables)

    def ready(self) -> bool:
        """Whether it answers that it is."""
        if not super().ready():
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/ready") as answer:
                return bool(json.load(answer)["ready"])
        except (urllib.error.URLError, ConnectionError):
            return False


class Installation:
    """Settings in `folder/config.yaml`, topics of its own, and processes, none of them running;
    `variables` are added to the environment of all its programs, `login` to the settings of
    Kafka."""

    def __init__(
        self,
        folder: Path,
        database: neo4j.Address,
        session_ms: int = SESSION_MS,
        bootstrap_servers: str | None = None,
        variables: Mapping[str, str] | None = None,
        login: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.database = database
        self.prefix = f"real-{uuid.uuid4().hex[:12]}-"
        self.bootstrap_servers = bootstrap_servers or kafka.bootstrap_servers()
        self._variables = {
            "NEO4J_PASSWORD": database.password,
            "AGENT_ORCHESTRATION_TOKEN": TOKEN,
            **(variables or {}),
        }
        self._processes: list[Process] = []
        settings = {
            "backend": "kafka-neo4j",
            "data": str(folder / "data"),
            "server": {"allowed_hosts": [HOST]},
            "database": {"uri": database.uri, "username": database.username},
            "kafka": {
                "bootstrap_servers": self.bootstrap_servers,
                "prefix": self.prefix,
                "session_timeout_ms": session_ms,
                **(login or {}),
            },
        }
        (folder / "config.yaml").write_text(json.dumps(settings), "utf-8")

    def run(
        self, *words: str, program: Sequence[str] = PROGRAM, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        more = {**self._variables, **variables}
        return run(self.folder, *words, program=program, more=more)

    def program(self, *words: str) -> str:
        """What a verb says that runs to its end; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def prepare(self) -> None:
        """An empty graph with its schema, and the topics."""
        empty(self.database)
        self.program("topics", "create")
        self.program("schema", "migrate")

    def processor(
        self,
        name: str,
        program: Sequence[str] = PROGRAM,
        words: Sequence[str] = (),
        **variables: str,
    ) -> Process:
        """A `processor`, of this program or of another version of it, started; `words` are options
        of it."""
        command = [*program, "processor", "--json", *words]
        more = {**self._variables, **variables}
        return self._added(Process(name, command, self.folder, more))

    def server(self, name: str, program: Sequence[str] = PROGRAM, **variables: str) -> Server:
        """A `serve`, started."""
        more = {**self._variables, **variables}
        return self._added(Server(name, self.folder, more, program=program))

    def analytics(self, name: str, port: int, *words: str) -> Process:
        """An `analytics` that answers at that port, started."""
        command = [*PROGRAM, "analytics", "--json", "--port", str(port), *words]
        return self._added(Process(name, command, self.folder, self._variables))

    def environment(self) -> dict[str, str]:
        """The environment of a program that belongs to the installation."""
        return environment(self.folder, self._variables)

    def end(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.kill()

    def _added(self, process: P) -> P:
        process.start()
        self._processes.append(process)
        return process


@contextlib.contextmanager
def installed(
    folder: Path,
    database: neo4j.Address,
    session_ms: int = SESSION_MS,
    bootstrap_servers: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Generator[Installation]:
    """An installation that is prepared; its processes are ended with the block."""
    installation = Installation(folder, database, session_ms, bootstrap_servers, variables)
    try:
        installation.prepare()
        yield installation
    finally:
        installation.end()
