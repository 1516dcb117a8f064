"""A real Kafka and a real Neo4j on loopback for a measurement, with Java's usual options."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import msgspec
from neo4j import GraphDatabase

from bench.processes import answer, folder
from tests.services import kafka, neo4j

#: Kafka's own start script gives these.
BROKER = ("-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
GRAPH = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")
PAGE_CACHE = "512m"
#: Every append of every topic is on the disk before it is acknowledged: class F.
FSYNC = {"log.flush.interval.messages": "1"}
PARTITIONS = 8
#: Relationships first: one node may have more than fit into a transaction.
_EMPTY: tuple[LiteralString, ...] = (
    "MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 10000 ROWS",
)


class GraphSize(NamedTuple):
    """Nodes, relationships, and bytes of the store: without the logs of its transactions."""

    nodes: int
    relationships: int
    stored: int


class Engines:
    """Both servers. Each settings file is that of an installation of its own: new topics, and the
    graph, of which there is one, emptied."""

    def __init__(self, home: Path, broker: kafka.Broker, graph: neo4j.JarServer) -> None:
        self._home = home
        self._broker = broker
        self._server = graph
        self._graph = graph.address
        self._numbers = itertools.count(1)

    def installation(self, partitions: int = PARTITIONS) -> Path:
        """Make the topics, empty the graph; the settings file."""
        self.empty_graph()
        number = next(self._numbers)
        settings = {
            "backend": "kafka-neo4j",
            "data": str(self._home / f"data-{number}"),
            "database": self._graph._asdict(),
            "kafka": {
                "bootstrap_servers": self._broker.bootstrap_servers,
                "num_partitions": partitions,
                "prefix": f"bench-{number}-",
            },
            "logging": {"level": "WARNING"},
        }
        file = self._home / f"config-{number}.yaml"
        file.write_bytes(msgspec.json.encode(settings))  # JSON is YAML
        verb = ("-m", "agent_orchestration", "topics", "create", "--config", str(file))
        answer(self._home, *verb)
        return file

    def processor_seconds(self) -> dict[str, float]:
        """What both took of the processors since they were started; nothing where the system does
        not tell."""
        processes = {"Kafka": self._broker.process, "Neo4j": self._server.process}
        found: dict[str, float] = {}
        for name, process in processes.items():
            file = Path(f"/proc/{process.pid if process else None}/stat")
            if file.exists():
                # The name, in parentheses, may hold anything; user and system time follow it.
                numbers = file.read_text("utf-8").rpartition(")")[2].split()
                ticks = int(numbers[11]) + int(numbers[12])
                found[name] = ticks / os.sysconf("SC_CLK_TCK")
        return found

    def renew_graph(self) -> None:
        """A server as new, at the same address: to delete much takes longer than to write it."""
        self._server.kill()
        shutil.rmtree(self._server.home / "data")
        self._server.start()

    def log_bytes(self, file: Path, topic: str) -> int:
        """What the records of an installation's topic take on the broker's disk."""
        name = msgspec.json.decode(file.read_bytes())["kafka"]["prefix"] + topic
        segments = (self._broker.home / "data").glob(f"{name}-*/*.log")
        return sum(segment.stat().st_size for segment in segments)

    def graph_size(self) -> GraphSize:
        """What the graph has, and takes on its disk. The server is killed and started: what it then
        brings back from the logs of its transactions it writes to its files."""
        self._server.kill()
        self._server.start()
        count = "MATCH (n) RETURN count(n) AS nodes, sum(COUNT { (n)-->() }) AS relationships"
        [found] = self._queried(count)
        files = (self._server.home / "data" / "databases" / "neo4j").rglob("*")
        stored = sum(file.stat().st_size for file in files if file.is_file())
        return GraphSize(**found, stored=stored)

    def empty_graph(self) -> None:
        """Delete all nodes; constraints and indexes stay."""
        for statement in _EMPTY:
            self._queried(statement)

    def _queried(self, statement: LiteralString) -> list[dict[str, Any]]:
        address = self._graph
        auth = (address.username, address.password)
        with (
            GraphDatabase.driver(address.uri, auth=auth) as driver,  # pyright: ignore[reportUnknownMemberType]
            driver.session(database="neo4j") as session,  # pyright: ignore[reportUnknownMemberType]
        ):
            return session.run(statement).data()


@contextlib.contextmanager
def engines(*, quick: bool, fsync: bool = False) -> Generator[Engines]:
    """Both servers, started and ended; `fsync`: class F. Raises `NotHere` where this machine
    cannot run them."""
    with folder() as home, contextlib.ExitStack() as stack:
        options = kafka.QUICK if quick else BROKER
        broker = kafka.Broker(home / "kafka", FSYNC if fsync else None, options=options)
        broker.start()
        stack.callback(broker.kill)
        options = neo4j.QUICK if quick else GRAPH
        graph = neo4j.JarServer(home / "neo4j", neo4j.version(), options, PAGE_CACHE)
        graph.start()
        stack.callback(graph.kill)
        yield Engines(home, broker, graph)
