"""The rows of a graph that is there, written anew by plain statements: what a fold stands beside.

What is sent is made ready before the clock starts, and nothing is looked at meanwhile.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from neo4j import Driver, GraphDatabase
from neo4j.time import DateTime

from agent_orchestration.config import Database

Rows = list[dict[str, Any]]
Statement = tuple[str, Rows]
_LABELS = "MATCH (n) WHERE NOT n:Checkpoint RETURN DISTINCT labels(n)[0] AS label"
_CLEAR_LINKS = "MATCH ()-[r]->() WITH r LIMIT 20000 DELETE r RETURN count(*) AS n"
_CLEAR_NODES = "MATCH (n) WITH n LIMIT 20000 DELETE n RETURN count(*) AS n"
_TYPES = (
    "MATCH (a)-[r]->(b) RETURN DISTINCT type(r) AS type, labels(a)[0] AS start, labels(b)[0] AS end"
)


class RawLoader:
    """Reads the graph once, then loads it as often as it is told to. A context manager."""

    def __init__(self, settings: Database) -> None:
        assert settings.password is not None
        auth = (settings.username, settings.password.get_secret_value())
        self._driver: Driver = GraphDatabase.driver(settings.uri, auth=auth)  # pyright: ignore[reportUnknownMemberType]
        self._nodes: list[Statement] = []
        self._links: list[Statement] = []

    def __enter__(self) -> "RawLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.close()

    @property
    def rows(self) -> int:
        """How many nodes and relationships there are to load."""
        return sum(len(rows) for _, rows in [*self._nodes, *self._links])

    def read(self) -> None:
        """Take what the graph holds now."""
        for [label] in self._ask(_LABELS):
            found = [dict(row) for [row] in self._ask(f"MATCH (n:{label}) RETURN properties(n)")]
            made = _times("row", found)
            self._nodes.append(
                (f"UNWIND $rows AS row MERGE (n:{label} {{id: row.id}}) SET n = {made}", found)
            )
        for kind, start, end in self._ask(_TYPES):
            asked = f"MATCH (a:{start})-[r:{kind}]->(b:{end}) RETURN a.id, b.id, properties(r)"
            found = [{"start": a, "end": b, "props": dict(r)} for a, b, r in self._ask(asked)]
            made = _times("props", [link["props"] for link in found])
            statement = (
                f"UNWIND $rows AS row MATCH (a:{start} {{id: row.start}})"
                f" MATCH (b:{end} {{id: row.end}}) CREATE (a)-[r:{kind}]->(b)"
                f" WITH r, row.props AS props SET r = {made}"
            )
            self._links.append((statement, found))

    def load(self, transactions: int) -> float:
        """Write all of it in about so many transactions of equally many rows, nodes first; the
        seconds that took."""
        size = -(-self.rows // transactions)
        batches = [*_batches(self._nodes, size), *_batches(self._links, size)]
        began = time.perf_counter()
        with self._session() as session:
            for batch in batches:
                with session.begin_transaction() as transaction:
                    for statement, rows in batch:
                        transaction.run(statement, {"rows": rows}).consume()
        return time.perf_counter() - began

    def clear(self) -> None:
        """Delete everything, constraints and indexes aside: relationships first, for one node may
        have very many."""
        for statement in (_CLEAR_LINKS, _CLEAR_NODES):
            while self._ask(statement) != [(0,)]:
                pass

    def load_events_one_by_one(self, count: int) -> float:
        """Write so many events' nodes, each in a transaction of its own; the seconds that took."""
        [(statement, rows)] = [one for one in self._nodes if "(n:Event " in one[0]]
        began = time.perf_counter()
        with self._session() as session:
            for row in rows[:count]:
                session.run(statement, {"rows": [row]}).consume()
        return time.perf_counter() - began

    def _session(self) -> Any:
        return self._driver.session(database="neo4j")  # pyright: ignore[reportUnknownMemberType]

    def _ask(self, statement: str) -> list[tuple[Any, ...]]:
        with self._session() as session:
            return [tuple(record) for record in session.run(statement)]


def _times(name: str, rows: Rows) -> str:
    """The map `name` with its times made of text; in the rows they become text."""
    times: set[str] = set()
    for row in rows:
        for key, value in row.items():
            if isinstance(value, DateTime):
                row[key] = value.iso_format()
                times.add(key)
    made = "".join(f", {key}: datetime({name}.{key})" for key in sorted(times))
    return f"{name} {{.*{made}}}" if times else name


def _batches(statements: list[Statement], size: int) -> Iterator[list[Statement]]:
    """Batches of so many rows; one may hold the end of one statement's and the next one's."""
    rows = ((statement, row) for statement, its in statements for row in its)
    while batch := list(itertools.islice(rows, size)):
        grouped: defaultdict[str, Rows] = defaultdict(list)
        for statement, row in batch:
            grouped[statement].append(row)
        yield list(grouped.items())
