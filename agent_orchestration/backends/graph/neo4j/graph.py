"""The `Graph` on Neo4j: one explicit transaction per batch, reading in READ access mode."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, cast

import neo4j
from neo4j import AsyncTransaction

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphWrite,
    Position,
    schema_statements,
    statements,
)
from agent_orchestration.backends.graph.neo4j.batches import Batches
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
#: How much of a graph is deleted in one transaction.
CLEAR_ROWS = 20_000
INDEX_SECONDS = 600


class Neo4jGraph:
    """A `Graph` on the server or cluster that the settings name, with the entities' labels,
    constraints and indexes. Values are as `values` describes.

    `neo4j://` routes writes to the leader and reads to any member of a cluster, `bolt://` uses one
    server. Cancelling a write rolls it back, or waits for its end once it is being committed.
    """

    def __init__(self, settings: Database, entities: Iterable[type[Entity]]) -> None:
        self._entities = tuple(entities)
        self._vocabulary = statements.Vocabulary(self._entities)
        self._batches = Batches(self._entities)
        self._connection = Connection(settings)

    async def start(self) -> None:
        """See `Graph`. Ends what an interrupted `clear` left undone."""
        await self._connection.open()
        try:
            with writing_errors():
                await self._apply_schema()
                if await self._connection.run(statements.CLEARING):
                    await self._clear()
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
        with writing_errors():
            async with self._connection.session() as session:
                async with asyncio.timeout(WRITE_SECONDS):
                    transaction = await session.begin_transaction(timeout=WRITE_SECONDS)
                async with transaction:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await self._change(transaction, write)
                    await _to_its_end(_commit(transaction))

    async def _change(self, transaction: AsyncTransaction, write: GraphWrite) -> None:
        """Everything that a batch does, if its position is the one that is held."""
        batch = self._batches.statements(write)
        statement, parameters = next(batch)
        result = await transaction.run(cast("Any", statement), parameters)
        if not [record async for record in result]:
            reason = f"partition {write.partition}: the graph is not at {write.held}"
            raise CheckpointMoved("checkpoint_moved", reason)
        for statement, parameters in batch:
            result = await transaction.run(cast("Any", statement), parameters)
            await result.consume()

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

    async def clear(self) -> None:
        """See `Graph`. Nodes with other labels than the platform's stay. Nobody may write
        meanwhile; interrupted, it is ended by the next `start`."""
        with writing_errors():
            await self._clear()

    async def _clear(self) -> None:
        run = self._connection.run
        await run(statements.BEGIN_CLEARING)
        for statement in self._vocabulary.clear():
            while (await run(statement, {"limit": CLEAR_ROWS}))[0]["n"]:
                pass
        await run(statements.END_CLEARING)
        await self._apply_schema()

    async def _apply_schema(self) -> None:
        run = self._connection.run
        there = {row["name"] for row in await run(schema_statements.INDEX_NAMES)}
        declared = schema_statements.schema(self._entities)
        missing = [statement for name, statement in declared.items() if name not in there]
        for statement in missing:
            await self._connection.change_schema(statement)
        if missing:
            await run(schema_statements.AWAIT_INDEXES, {"seconds": INDEX_SECONDS})


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
