"""Where a graph differs from another one, and what would make it the same."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from agent_orchestration.backends.graph import Graph, GraphWrite, LinkKey, Position
from agent_orchestration.backends.graph.contents import (
    IDS_PER_PAGE,
    Content,
    Key,
    chunks,
    contents,
    ids_after,
    labels,
    line,
    stored,
)
from agent_orchestration.backends.graph.statements import Vocabulary
from agent_orchestration.core.entities import Entity, Row

What = Literal["missing", "extra", "changed", "relationship"]
KINDS: tuple[What, ...] = get_args(What)
Pair = tuple[str, str, str]
"""(type, label, id) of where a relationship leads."""


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node that is `missing`, `extra` or `changed` (in `properties`), or one relationship that
    leads away from it, to `target`: missing, too much, or with other properties."""

    what: What
    label: str
    id: str
    properties: tuple[str, ...] = ()
    type: str | None = None
    target: str | None = None


async def compared(
    wanted: Graph, found: Graph, entities: Iterable[type[Entity]]
) -> AsyncIterator[tuple[int, list[Key]]]:
    """Compare everything: how many nodes were looked at more, and which of them are not the same.
    Relationships that are not declared are somebody else's. Raises what the graphs do."""
    declared = tuple(entities)
    ours = Vocabulary(declared)
    for label in labels(declared):
        async for ids in _together(wanted, found, label):
            left = await _ours(wanted, ours, label, ids)
            right = await _ours(found, ours, label, ids)
            yield len(ids), [(label, one) for one in ids if left[one].lines != right[one].lines]


async def _together(wanted: Graph, found: Graph, label: str) -> AsyncIterator[list[str]]:
    """The ids that one of the graphs has, some at a time."""
    after = ""
    while True:
        both = [await ids_after(graph, label, after) for graph in (wanted, found)]
        # Beyond a full page one graph may have more that the other has already shown.
        until = min((ids[-1] for ids in both if len(ids) == IDS_PER_PAGE), default=None)
        ids = sorted(one for one in {*both[0], *both[1]} if until is None or one <= until)
        for page in chunks(ids):
            yield page
        if until is None:
            return
        after = until


async def _ours(graph: Graph, ours: Vocabulary, label: str, ids: list[str]) -> dict[str, Content]:
    found = await contents(graph, label, ids)
    for content in found.values():
        content.links = [
            link
            for link in content.links
            if link["type"] in ours.types and link["label"] in ours.labels
        ]
    return found


class Changes:
    """What makes these nodes of `found` those of `wanted`, with their relationships."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        #: The nodes that are not the same, or whose relationships are not.
        self.keys: list[Key] = []
        self._nodes: defaultdict[str, list[Row]] = defaultdict(list)
        self._removed: defaultdict[str, list[str]] = defaultdict(list)
        self._links: defaultdict[LinkKey, list[Row]] = defaultdict(list)
        self._unlinks: defaultdict[LinkKey, list[Row]] = defaultdict(list)

    def write(self, partition: int, held: Position | None, following: Position) -> GraphWrite:
        """All of them as one transaction."""
        return GraphWrite(
            partition,
            held,
            following,
            nodes=dict(self._nodes),
            removed=dict(self._removed),
            links=dict(self._links),
            unlinks=dict(self._unlinks),
        )

    def add(self, key: Key, wanted: Content, found: Content) -> None:
        """What has to change of one node."""
        label, node = key
        if wanted.lines != found.lines:
            self.keys.append(key)
        if wanted.node is None:
            if found.node is not None:
                self._removed[label].append(node)
                self.differences.append(Difference("extra", label, node))
            return
        if found.node is None:
            self._nodes[label].append(stored(wanted.node))
            self.differences.append(Difference("missing", label, node))
        elif names := _differing(wanted.node, found.node):
            self._nodes[label].append(stored(wanted.node))
            self.differences.append(Difference("changed", label, node, names))
        self._add_links(key, wanted, found)

    def _add_links(self, key: Key, wanted: Content, found: Content) -> None:
        label, node = key
        left, right = _by_pair(wanted.links), _by_pair(found.links)
        for pair in sorted(left.keys() | right.keys()):
            kind, end, target = pair
            now, was = left.get(pair, []), right.get(pair, [])
            if sorted(map(line, now)) == sorted(map(line, was)):
                continue
            ends = {"from": node, "to": target}
            if was:
                self._unlinks[kind, label, end].append(ends)
            self._links[kind, label, end] += [{**ends, "props": stored(link)} for link in now]
            if found.node is not None:
                self.differences.append(
                    Difference("relationship", label, node, type=kind, target=target)
                )

    def told(self) -> list[Difference]:
        """The differences, without the relationships that are missing because a node is."""
        nodes = {one.id for one in self.differences if one.what in {"missing", "extra"}}
        return [
            one for one in self.differences if one.what != "relationship" or one.target not in nodes
        ]


async def changes(
    wanted: Graph, found: Graph, entities: Iterable[type[Entity]], keys: Iterable[Key]
) -> Changes:
    """Compare these nodes alone."""
    ours = Vocabulary(entities)
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for label, node in keys:
        by_label[label].append(node)
    made = Changes()
    for label, every in sorted(by_label.items()):
        for ids in chunks(sorted(every)):
            left = await _ours(wanted, ours, label, ids)
            right = await _ours(found, ours, label, ids)
            for one in ids:
                made.add((label, one), left[one], right[one])
    return made


def _differing(wanted: Row, found: Row) -> tuple[str, ...]:
    names = sorted(wanted.keys() | found.keys())
    return tuple(
        name for name in names if line({name: wanted.get(name)}) != line({name: found.get(name)})
    )


def _by_pair(links: Iterable[Mapping[str, Any]]) -> dict[Pair, list[Row]]:
    found: defaultdict[Pair, list[Row]] = defaultdict(list)
    for link in links:
        found[link["type"], link["label"], link["target"]].append(link["link"])
    return found
