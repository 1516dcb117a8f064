"""What is in a graph, node by node: for digests and comparisons, in one form for all engines."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast

from agent_orchestration.backends.graph import Graph, statements
from agent_orchestration.core.entities import DEFAULT_TENANT, Entity, Row
from agent_orchestration.core.messages import canonical

IDS_PER_PAGE = 50_000
NODES_PER_PAGE = 1_000
SECONDS = 120.0

Key = tuple[str, str]
"""(label, id) of a node."""


class Content:
    """A node and what leads away from it: `node` has its properties, None where there is no such
    node; `links` are `{source, type, label, target, link}`."""

    def __init__(self) -> None:
        self.node: Row | None = None
        self.links: list[Row] = []

    @cached_property
    def lines(self) -> list[bytes]:
        """The node, then its relationships in order, each as canonical JSON. Equal nodes have equal
        lines."""
        return [] if self.node is None else [line(self.node), *sorted(map(line, self.links))]


def tenant_of(key: Key) -> str:
    """Whose node it is."""
    label, node = key
    if label == "Tenant":
        return node
    tenant, slash, _ = node.rpartition("/")
    return tenant if slash else DEFAULT_TENANT


def stored(row: Row) -> Row:
    """A node or relationship as it was written."""
    return {
        name: value
        for name, value in row.items()
        if name not in {"_labels", "_type"} and value is not None
    }


def line(row: Row) -> bytes:
    """Properties as canonical JSON."""
    return canonical(_plain(row))


def labels(entities: Iterable[type[Entity]]) -> list[str]:
    """The labels of everything that batches write, in order."""
    return sorted({entity.LABEL for entity in entities} | set(statements.PLATFORM_LABELS))


async def ids_after(graph: Graph, label: str, after: str) -> list[str]:
    """The next ids of a label, at most `IDS_PER_PAGE`. Reading them apart from the nodes keeps both
    fast: ids need an ordered scan each time, nodes are then found by id."""
    parameters = {"after": after, "limit": IDS_PER_PAGE}
    rows = await graph.query(statements.node_ids(label), parameters, seconds=SECONDS)
    return [str(row["id"]) for row in rows]


async def pages(graph: Graph, label: str) -> AsyncIterator[list[str]]:
    """All ids of a label in order, some at a time."""
    after = ""
    while ids := await ids_after(graph, label, after):
        for page in chunks(ids):
            yield page
        if len(ids) < IDS_PER_PAGE:
            return
        after = ids[-1]


def chunks(ids: list[str]) -> Iterable[list[str]]:
    """Some ids at a time."""
    return (ids[at : at + NODES_PER_PAGE] for at in range(0, len(ids), NODES_PER_PAGE))


async def contents(graph: Graph, label: str, ids: list[str]) -> dict[str, Content]:
    """The nodes with these ids, in their order, those that there are not included. Raises what
    `Graph.query` raises."""
    found = {one: Content() for one in ids}
    rows = await graph.query(statements.whole_nodes(label), {"ids": ids}, seconds=SECONDS)
    for node in rows[0]["nodes"] if rows else ():
        found[node["id"]].node = node
    rows = await graph.query(statements.links_from(label), {"ids": ids}, seconds=SECONDS)
    for link in rows[0]["links"] if rows else ():
        found[link["source"]].links.append(link)
    return found


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
