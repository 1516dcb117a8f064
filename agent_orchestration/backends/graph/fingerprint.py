"""A digest of everything in the graph: equal graphs have equal digests, on any engine."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, cast

from agent_orchestration.backends.graph import Graph, statements
from agent_orchestration.core.entities import Entity, Row
from agent_orchestration.core.messages import canonical

IDS_PER_PAGE = 50_000
NODES_PER_PAGE = 1_000
SECONDS = 120.0


async def fingerprint(graph: Graph, entities: Iterable[type[Entity]]) -> str:
    """SHA-256 (64 hex digits) over all nodes but checkpoints, with their relationships.

    Nodes come in order of label and id, each page of them followed by the relationships that
    leave it. Raises what `Graph.query` raises.
    """
    digest = hashlib.sha256()
    labels = {entity.LABEL for entity in entities} | set(statements.PLATFORM_LABELS)
    for label in sorted(labels):
        async for ids in _pages(graph, label):
            for line in await _lines(graph, label, ids):
                digest.update(line + b"\n")
    return digest.hexdigest()


async def _pages(graph: Graph, label: str) -> AsyncIterator[list[str]]:
    """All ids of a label in order. Reading them apart from the nodes keeps both fast: ids need
    an ordered scan each time, nodes are then found by id."""
    after = ""
    while True:
        parameters = {"after": after, "limit": IDS_PER_PAGE}
        rows = await graph.query(statements.node_ids(label), parameters, seconds=SECONDS)
        ids = [str(row["id"]) for row in rows]
        for start in range(0, len(ids), NODES_PER_PAGE):
            yield ids[start : start + NODES_PER_PAGE]
        if len(ids) < IDS_PER_PAGE:
            return
        after = ids[-1]


async def _lines(graph: Graph, label: str, ids: list[str]) -> list[bytes]:
    nodes = await graph.query(statements.whole_nodes(label), {"ids": ids}, seconds=SECONDS)
    links = await graph.query(statements.links_from(label), {"ids": ids}, seconds=SECONDS)
    found = [canonical(_plain(row["node"])) for row in sorted(nodes, key=_id)]
    return found + sorted(canonical(_plain(link)) for link in links)


def _id(row: Row) -> str:
    return row["node"]["id"]


def _plain(value: Any) -> Any:
    """One form for what two engines may give in several: no nulls in maps, times in UTC."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, dict):
        found = cast("Row", value)
        return {key: _plain(one) for key, one in found.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    return value
