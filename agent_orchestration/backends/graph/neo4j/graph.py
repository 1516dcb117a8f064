"""The `Graph` on Neo4j: one transaction per batch, reading in READ access mode."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, cast

import neo4j
from neo4j import AsyncResult, AsyncTransaction, Query, Record

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphWrite,
    Position,
    schema_statements,
    statements,
)
from agent_orchestration.backends.graph.neo4j.batches import Batches, Statement, is_small
from agent_orchestration.backends.graph.neo4j.combining import Combined
from agent_orchestration.backends.graph.neo4j.connection import Connection
from agent_orchestration.backends.graph.neo4j.errors import writing_errors
from agent_orchestration.backends.graph.neo4j.plans import only_reads
from agent_orchestration.backends.graph.read_errors import WouldWrite
from agent_orchestration.config import Database
from agent_orchestration.core.entities import Entity, Row

#: How long the statements of a batch may take, and how long its commit.
WRITE_SECONDS = 60.0
COMMIT_SECONDS = 30.0
POSITION_SECONDS = 5.0
INDEX_SECONDS = 600


class Neo4jGraph:
    """A `Graph` on the server or cluster that the settings name, with the entities' labels,
    constraints and indexes. Values are as `values` describes.

    `neo4j://` routes writes to the leader and reads to any member of a cluster, `bolt://` uses one
    server. Cancelling a write rolls it back, or waits for its end where it may be committed by now.
    """

    def __init__(self, settings: Database, entities: Iterable[type[Entity]]) -> None:
        self._entities = tuple(entities)
        self._vocabulary = statements.Vocabulary(self._entities)
        self._batches = Batches(self._entities)
        self._connection = Connection(settings)
        self._small = Combined(self._write_together)

    async def start(self) -> None:
        """See `Graph`."""
        await self._connection.open()
        try:
            with writing_errors():
                await self._apply_schema()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """See `Graph`."""
        await self._connection.close()

    async def write(self, write: GraphWrite) -> None:
        """See `Graph`. A relationship whose start or end does not exist is not made.

        `Unavailable` may mean that it was written: the position tells.
        """
        self._vocabulary.check(write)
        if is_small(write):
            await self._small.write(write)
        else:
            await self._write_pieces(write)

    async def _write_together(self, writes: Sequence[GraphWrite]) -> None:
        """In a transaction that the server itself begins and commits: two ways there and back
        less."""
        with writing_errors():
            text, parameters = self._batches.together(writes)
            async with self._connection.session() as session:
                query = Query(text, timeout=WRITE_SECONDS)
                async with asyncio.timeout(WRITE_SECONDS):
                    moved = await _rows(await session.run(query, parameters))
        if not moved:
            raise _moved(writes)

    async def _write_pieces(self, write: GraphWrite) -> None:
        batch = self._batches.pieces(write)
        with writing_errors():
            async with self._connection.session() as session:
                async with asyncio.timeout(WRITE_SECONDS):
                    transaction = await session.begin_transaction(timeout=WRITE_SECONDS)
                async with transaction:
                    async with asyncio.timeout(WRITE_SECONDS):
                        if not await _rows(await transaction.run(*next(batch))):
                            raise _moved([write])
                        await _one_ahead(transaction, batch)
                    await _to_its_end(_commit(transaction))

    async def position(self, partition: int) -> Position | None:
        """See `Graph`. Asked of the server that writes: others may be behind."""
        return await self._position(statements.READ_CHECKPOINT, partition)

    async def published(self, partition: int) -> Position | None:
        """See `Graph`. Asked of the server that writes, too."""
        return await self._position(statements.READ_PUBLISHED, partition)

    async def _position(self, statement: str, partition: int) -> Position | None:
        rows, _ = await self._connection.read(
            statement,
            {"checkpoint": statements.checkpoint_id(partition)},
            seconds=POSITION_SECONDS,
            access=neo4j.WRITE_ACCESS,
        )
        # A write that was refused may leave a node without a position.
        stored = [(row["epoch"], row["offset"]) for row in rows if row["epoch"] is not None]
        return stored[0] if stored else None

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        """See `Graph`. At most `limit` rows are answered, whatever the statement says."""
        rows, _ = await self._connection.read(statement, parameters, seconds=seconds, limit=limit)
        return rows

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        """See `Graph`."""
        try:
            _, summary = await self._connection.read(
                statements.explain(statement), parameters, seconds=POSITION_SECONDS
            )
        except WouldWrite:
            return False
        plan = cast("dict[str, Any] | None", summary.plan)  # pyright: ignore[reportUnknownMemberType]
        return plan is not None and only_reads(plan)

    async def _apply_schema(self) -> None:
        run = self._connection.run
        there = {row["name"] for row in await run(schema_statements.INDEX_NAMES)}
        declared = schema_statements.schema(self._entities)
        missing = [statement for name, statement in declared.items() if name not in there]
        for statement in missing:
            await self._connection.change_schema(statement)
        if missing:
            await run(schema_statements.AWAIT_INDEXES, {"seconds": INDEX_SECONDS})


def _moved(writes: Sequence[GraphWrite]) -> CheckpointMoved:
    held = (f"partition {write.partition}: the graph is not at {write.held}" for write in writes)
    return CheckpointMoved("checkpoint_moved", ", or ".join(held))


async def _one_ahead(transaction: AsyncTransaction, batch: Iterable[Statement]) -> None:
    """Run them one after the other; each is made ready while the server is at work on the one
    before."""
    running: asyncio.Future[None] | None = None
    try:
        for statement in batch:
            if running is not None:
                await running
            running = asyncio.ensure_future(_consumed(transaction, *statement))
            await asyncio.sleep(0)
        if running is not None:
            await running
    except BaseException:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        raise


async def _consumed(transaction: AsyncTransaction, statement: Any, parameters: Row) -> None:
    await (await transaction.run(statement, parameters)).consume()


async def _rows(result: AsyncResult) -> list[Record]:
    return [record async for record in result]


async def _commit(transaction: AsyncTransaction) -> None:
    async with asyncio.timeout(COMMIT_SECONDS):
        await transaction.commit()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end even when cancelled, so that whoever comes next finds nothing under way."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.exception()
        raise
