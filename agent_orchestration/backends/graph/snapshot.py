"""A whole graph as files, independent of engines: nodes first, then relationships.

Each file has JSON lines, compressed: `{"node": label, "row": properties}`, and then
`{"link": [type, label, label], "row": {from, to, props}}`. Times are `{"$time": ISO 8601 text}`.
"""

import asyncio
import gzip
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, cast

import msgspec

from agent_orchestration.backends.graph import Graph, GraphWrite, LinkKey, Position
from agent_orchestration.backends.graph.contents import contents, labels, pages, stored
from agent_orchestration.core.entities import Entity, Row

#: So many lines are in a file.
LINES = 10_000
TIME = "$time"
#: Its Checkpoint says how many files were loaded: no partition of the log has this number.
LOADING = -1
_LEVEL = 6
_encode = msgspec.json.encode


class File(msgspec.Struct, frozen=True):
    """A file of a snapshot: of `nodes` or `links`, and how many."""

    kind: str
    lines: int
    data: bytes


async def files_of(graph: Graph, entities: Iterable[type[Entity]]) -> AsyncIterator[File]:
    """The graph in files, of nodes and of relationships in turns; all of the former have to be
    loaded first. Nobody may write meanwhile."""
    waiting: dict[str, list[bytes]] = {"nodes": [], "links": []}
    for label in labels(entities):
        async for ids in pages(graph, label):
            for content in (await contents(graph, label, ids)).values():
                if content.node is None:
                    continue
                waiting["nodes"].append(_encode({"node": label, "row": _out(content.node)}))
                for link in content.links:
                    key = link["type"], label, link["label"]
                    ends = {"from": link["source"], "to": link["target"]}
                    row = {**ends, "props": _out(link["link"])}
                    waiting["links"].append(_encode({"link": key, "row": row}))
            for kind, lines in waiting.items():
                while len(lines) >= LINES:
                    yield await asyncio.to_thread(_file, kind, lines[:LINES])
                    del lines[:LINES]
    for kind, lines in waiting.items():
        if lines:
            yield await asyncio.to_thread(_file, kind, lines)


def write_of(data: bytes, held: Position | None, following: Position) -> GraphWrite:
    """What loads a file into a graph that has none of it. Raises `ValueError` for one that is no
    file of a snapshot."""
    nodes: defaultdict[str, list[Row]] = defaultdict(list)
    links: defaultdict[LinkKey, list[Row]] = defaultdict(list)
    for text in gzip.decompress(data).splitlines():
        line: dict[str, Any] = msgspec.json.decode(text)
        row = line["row"]
        if "node" in line:
            nodes[line["node"]].append(_in(row))
        else:
            kind, start, end = line["link"]
            links[kind, start, end].append({**row, "props": _in(row["props"])})
    return GraphWrite(LOADING, held, following, new_nodes=dict(nodes), new_links=dict(links))


def _file(kind: str, lines: list[bytes]) -> File:
    return File(kind, len(lines), gzip.compress(b"\n".join(lines), _LEVEL, mtime=0))


def _out(row: Row) -> Row:
    return {
        name: {TIME: value.isoformat()} if isinstance(value, datetime) else value
        for name, value in stored(row).items()
    }


def _in(row: Row) -> Row:
    return {
        name: datetime.fromisoformat(cast("Row", value)[TIME]) if isinstance(value, dict) else value
        for name, value in row.items()
    }
