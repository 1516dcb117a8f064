"""The embedded graph: kglite, in memory with a write-ahead file, one writing process per file.

A batch is one statement, which kglite applies all or not at all: a transaction of its own copies
what it changes, for milliseconds per write in a large graph. A very large batch is a transaction
all the same: as one statement it would hold up readers, and take twice the memory. Readers see the
graph as it was before a write or after it. A write survives the death of the process.
"""

import asyncio
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import kglite
import msgspec

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphWrite,
    Position,
    kglite_statements,
    schema_statements,
    statements,
)
from agent_orchestration.backends.graph.kglite_errors import (
    opening_errors,
    reading_errors,
    writing_errors,
)
from agent_orchestration.backends.graph.kglite_values import VirtualProperties, only_reads
from agent_orchestration.backends.graph.read_errors import TooSlow, WouldWrite
from agent_orchestration.core.entities import Entity, Row
from agent_orchestration.core.errors import PlatformError, Rejected, Unavailable

T = TypeVar("T")

#: Writes of so many rows take about a millisecond; more would hold up the event loop.
INLINE_ROWS = 32
#: Writes of more rows are transactions, of pieces of so many.
LARGE_ROWS = 10_000
PIECE_ROWS = 1000
#: A statement that took less is run in the event loop the next time, up to twice as long.
QUICK_SECONDS = 0.001
QUICK_STATEMENTS = 1024
READERS = 4
#: Bounds what a runaway statement holds in memory: rows and list elements on the way.
WORK_UNITS = 10_000_000


class Opened(msgspec.Struct, frozen=True):
    """An open graph, and the threads that work on it."""

    session: kglite.Session
    writer: Executor
    readers: Executor


class KgliteGraph:
    """A `Graph` in the file `path`, with the entities' labels, constraints and indexes.

    Rows are as `kglite_values` describes. A statement cannot be interrupted: cancelling waits
    until it has ended, by its deadline at the latest.
    """

    def __init__(self, path: Path, entities: Iterable[type[Entity]]) -> None:
        self._path = path
        self._entities = tuple(entities)
        self._vocabulary = statements.Vocabulary(self._entities)
        self._values = VirtualProperties(self._entities)
        self._opened: Opened | None = None
        self._lock = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._quick: set[str] = set()
        # New nodes are written in half the time where their properties are named in the statement.
        # kglite refuses a name that no node of the label ever had: those that some had, by label.
        # And it invents a title for a node that is made without one.
        self._known: defaultdict[str, set[str]] = defaultdict(set)

    async def start(self) -> None:
        """See `Graph`. `Unavailable` while another process has the file open."""
        # Its remarks on labels that nothing has yet are of no use to anybody here.
        kglite.set_query_warning_policy("silent")
        session = await asyncio.to_thread(self._open)
        self._opened = Opened(
            session,
            ThreadPoolExecutor(1, "graph-write"),
            ThreadPoolExecutor(READERS, "graph-read"),
        )

    def _open(self) -> kglite.Session:
        with opening_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            session = kglite.open_session(str(self._path), durable="normal")
        try:
            with opening_errors(self._path):
                for statement in schema_statements.constraints(self._entities).values():
                    session.execute(statement)
                for label, index in schema_statements.declared_indexes(self._entities):
                    # kglite's index over several properties takes time in proportion to its size
                    # for each insertion; that over ranges, where many nodes have one value.
                    one = len(index.properties) == 1
                    build = schema_statements.index if one else schema_statements.index_of_last
                    session.execute(build(label, index))
        except PlatformError:
            session.close()
            raise
        return session

    async def stop(self) -> None:
        """See `Graph`."""
        async with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                await asyncio.to_thread(_close, opened)

    async def write(self, write: GraphWrite) -> None:
        """See `Graph`. A relationship whose start or end does not exist is not made."""
        self._vocabulary.check(write)
        for label, rows in (*write.nodes.items(), *write.new_nodes.items()):
            self._values.check_rows(label, rows)
        size = sum(len(rows) for _, rows in statements.steps(write))
        async with self._lock:
            opened = self._require()
            # This process alone has the file, and its writes come one at a time.
            stored = await self.position(write.partition)
            if stored != write.held:
                moved = f"partition {write.partition}: the graph is at {stored}, not {write.held}"
                raise CheckpointMoved("checkpoint_moved", moved)
            if size > LARGE_ROWS:
                work = functools.partial(_execute_in_pieces, opened.session, write)
                await _in_thread(opened.writer, work)
                return
            found = {
                label: _properties(rows)
                for label, rows in write.new_nodes.items()
                if all("title" in row for row in rows)
            }
            known = {
                label: names
                for label, names in found.items()
                if self._known[label].issuperset(names)
            }
            statement, parameters = kglite_statements.one_statement(write, known)
            work = functools.partial(_execute, opened.session, statement, parameters)
            if size <= INLINE_ROWS:
                work()
            else:
                await self._write_in_thread(opened, work)
            for label, names in found.items():
                self._known[label].update(names)

    async def _write_in_thread(self, opened: Opened, work: Callable[[], T]) -> T:
        self._idle.clear()
        try:
            return await _in_thread(opened.writer, work)
        finally:
            self._idle.set()

    async def position(self, partition: int) -> Position | None:
        """See `Graph`."""
        return await self._position(statements.READ_CHECKPOINT, partition)

    async def published(self, partition: int) -> Position | None:
        """See `Graph`."""
        return await self._position(statements.READ_PUBLISHED, partition)

    async def _position(self, statement: str, partition: int) -> Position | None:
        rows = await self.query(statement, {"checkpoint": statements.checkpoint_id(partition)})
        return (rows[0]["epoch"], rows[0]["offset"]) if rows else None

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        """See `Graph`. At most `limit` rows are answered, whatever the statement says."""
        # A reader has to wait for the writer, which is not to count as its own time.
        await self._idle.wait()
        opened = self._require()
        read = functools.partial(self._read, opened.session, statement, dict(parameters), limit)
        # A thread costs time, most where the event loop is busy: what was quick before runs here.
        if statement in self._quick:
            try:
                return read(min(seconds, 2 * QUICK_SECONDS))[0]
            except TooSlow:
                self._quick.discard(statement)
        rows, took = await _in_thread(opened.readers, functools.partial(read, seconds))
        if took < QUICK_SECONDS and len(self._quick) < QUICK_STATEMENTS:
            self._quick.add(statement)
        return rows

    def _read(
        self,
        session: kglite.Session,
        statement: str,
        parameters: Row,
        limit: int | None,
        seconds: float,
    ) -> tuple[list[Row], float]:
        """The rows, and the seconds it took."""
        began = time.perf_counter()
        with reading_errors(seconds):
            result = session.cypher(
                statement,
                params=parameters,
                timeout_ms=max(1, int(seconds * 1000)),
                max_work_units=WORK_UNITS,
                row_limit=limit,
            )
        if isinstance(result, str):
            raise Rejected("query_failed", "leave FORMAT CSV out: answers are rows", field="query")
        canonical = self._values.canonical
        rows: list[Row] = [
            {name: canonical(value) for name, value in row.items()} for row in result.to_list()
        ]
        return rows, time.perf_counter() - began

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        """See `Graph`. Not sufficient alone: kglite hides parts of some plans."""
        try:
            rows = await self.query(statements.explain(statement), parameters)
        except WouldWrite:
            return False
        return only_reads(str(row["operation"]) for row in rows)

    def _require(self) -> Opened:
        if self._opened is None:
            raise Unavailable("graph_closed", "the graph is not open: start it, or try again later")
        return self._opened


def _properties(rows: Iterable[Row]) -> tuple[str, ...]:
    """The names of those that some row has."""
    return tuple(sorted({name for row in rows for name, its in row.items() if its is not None}))


def _execute(session: kglite.Session, statement: str, parameters: Row) -> None:
    with writing_errors():
        session.execute(statement, params=parameters, timeout_ms=0)


def _execute_in_pieces(session: kglite.Session, write: GraphWrite) -> None:
    with writing_errors(), session.begin() as transaction:
        for statement, parameters in kglite_statements.pieces(write, PIECE_ROWS):
            transaction.cypher(statement, params=parameters, timeout_ms=0)


def _close(opened: Opened) -> None:
    opened.writer.shutdown()
    opened.readers.shutdown()
    with writing_errors():
        opened.session.close()


async def _in_thread(executor: Executor, work: Callable[[], T]) -> T:
    """Run to the end even when cancelled, so that whoever comes next finds nothing under way."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        future.exception()
        raise
