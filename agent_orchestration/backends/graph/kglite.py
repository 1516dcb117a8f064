# NOTE to the helper who owns backends/graph: your version of this file was overwritten by accident at 07:49.
# Please write YOUR version again (you have it), API as in the brief; app.py expects KgliteGraph(path, entities),
# fingerprint(graph, entities), read_only.ReadOnlyRunner(graph).run(query, parameters, tenant). Delete this note.
"""The embedded graph: kglite, in this process, with a write-ahead file."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import kglite

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphUnreadable,
    GraphWrite,
    Position,
    WriteRefused,
    statements,
)
from agent_orchestration.core.entities import Entity, Row
from agent_orchestration.core.errors import Rejected, Unavailable

#: A query may hold the event loop so long; a longer one is run again in a thread. Most take a
#: hundredth of a millisecond, where the way to a thread and back would cost ten times as much.
INLINE_MS = 20


class KgliteGraph:
    """A graph in one file, which one process at a time may have open.

    Writes happen on the event loop, one transaction at a time; readers in other threads see whole
    transactions only. A committed transaction survives the death of the process.
    """

    def __init__(self, path: Path, entities: Iterable[type[Entity]]) -> None:
        self._path = path
        self._entities = tuple(entities)
        self._graph: kglite.KnowledgeGraph | None = None

    async def start(self) -> None:
        """See `backends.graph.Graph`."""
        # Its remarks about labels that nothing has yet are of no use to anybody here.
        kglite.set_query_warning_policy("silent")
        try:
            self._graph = kglite.open(str(self._path), durable="normal")
            self._create_schema()
        except kglite.WriterLeaseHeldError as error:
            raise Unavailable("graph_in_use", f"{self._path}: {error}") from error
        except (kglite.KgError, ValueError) as error:
            raise GraphUnreadable("graph_unreadable", f"{self._path}: {error}") from error

    async def stop(self) -> None:
        """See `backends.graph.Graph`."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    async def write(self, write: GraphWrite) -> None:
        """See `backends.graph.Graph`."""
        graph = self._open()
        try:
            with graph.begin() as transaction:
                if _position(transaction, write.partition) != write.held:
                    raise CheckpointMoved(
                        "checkpoint_moved", f"partition {write.partition} was written by another"
                    )
                for statement, parameters in _changes(write):
                    transaction.cypher(statement, params=parameters)
        except kglite.FileError as error:
            raise Unavailable("graph_unavailable", str(error)) from error
        except (kglite.KgError, TypeError, OverflowError) as error:
            raise WriteRefused("write_refused", str(error)) from error

    async def position(self, partition: int) -> Position | None:
        """See `backends.graph.Graph`."""
        return _position(self._open(), partition)

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        """See `backends.graph.Graph`."""
        try:
            return self._read(statement, parameters, INLINE_MS, limit)
        except kglite.CypherTimeoutError:
            pass
        except (kglite.KgError, TypeError, ValueError, OverflowError) as error:
            raise _refusal(error) from error
        try:
            return await asyncio.to_thread(
                self._read, statement, parameters, round(seconds * 1000), limit
            )
        except kglite.CypherTimeoutError as error:
            raise Rejected(
                "query_too_slow",
                f"query: it took longer than {seconds:g} s; match by id or limit it",
                field="query",
            ) from error
        except (kglite.KgError, TypeError, ValueError, OverflowError) as error:
            raise _refusal(error) from error

    async def plan(self, statement: str) -> list[str]:
        """The operators of a statement's plan, for the check of what a caller wants to run."""
        try:
            rows = self._read(f"EXPLAIN {statement}", {}, INLINE_MS, None)
        except kglite.KgError as error:
            raise _refusal(error) from error
        return [str(row["operation"]) for row in rows]

    async def clear(self) -> None:
        """See `backends.graph.Graph`."""
        self._open().cypher(statements.CLEAR)
        self._create_schema()

    def _create_schema(self) -> None:
        for statement in statements.schema(self._entities):
            self._open().cypher(statement)

    def _open(self) -> kglite.KnowledgeGraph:
        if self._graph is None:
            raise Unavailable("graph_closed", "the graph is not open")
        return self._graph

    def _read(
        self, statement: str, parameters: Mapping[str, Any], timeout: int, limit: int | None
    ) -> list[Row]:
        rows = self._open().cypher(
            statement,
            params=dict(parameters),
            hide_structural_keys=True,
            row_limit=limit,
            timeout_ms=timeout,
        )
        return cast("list[Row]", list(cast("Iterable[Any]", rows)))


def _position(
    reader: kglite.KnowledgeGraph | kglite.Transaction, partition: int
) -> Position | None:
    found = reader.cypher(statements.CHECKPOINT, params={"id": statements.checkpoint_id(partition)})
    rows = cast("list[Row]", list(cast("Iterable[Any]", found)))
    return (rows[0]["epoch"], rows[0]["offset"]) if rows else None


def _changes(write: GraphWrite) -> Iterable[tuple[str, dict[str, Any]]]:
    """Nodes before relationships, and the new position last."""
    for label, rows in write.nodes.items():
        if rows:
            yield statements.upsert_nodes(label), {"rows": rows}
    for label, ids in write.removed.items():
        if ids:
            yield statements.remove_nodes(label), {"ids": ids}
    for key, rows in write.unlinks.items():
        if rows:
            yield statements.remove_links(key), {"rows": rows}
    for key, rows in write.links.items():
        if rows:
            yield statements.upsert_links(key), {"rows": rows}
    epoch, offset = write.next
    parameters = {"id": statements.checkpoint_id(write.partition), "epoch": epoch, "offset": offset}
    yield statements.SET_CHECKPOINT, parameters


def _refusal(error: Exception) -> Rejected:
    reason = str(error).partition("\n")[0][:500]
    return Rejected("cypher_failed", f"query: {reason}", field="query")
