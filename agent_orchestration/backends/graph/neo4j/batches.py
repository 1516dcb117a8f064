"""A batch as statements for Neo4j, with few different texts, so that their plans are found in the
server's cache: one for each kind of row, or one for all kinds in a small batch, where ways to the
server and back would take most of the time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any

import msgspec

from agent_orchestration.backends.graph import GraphWrite, LinkKey, statements
from agent_orchestration.core.entities import Entity, Row, shape_of

#: A batch of so many rows is one statement.
SMALL_ROWS = 300
#: A statement gets at most so many rows, which bounds what it holds in memory.
PIECE_ROWS = 10_000

#: What a batch changes, as it is named in a `GraphWrite`.
CHANGES = ("nodes", "new_nodes", "removed", "links", "new_links", "unlinks", "unlinks_at_end")

Statement = tuple[Any, Row]
Times = tuple[str, ...]
Text = Callable[[str], str]


class Batches:
    """Makes the statements of batches for the entities that are declared.

    Their times travel as text: the driver needs some 30 us for each datetime, many times what the
    rest of its row takes. Other datetimes are left to the driver.
    """

    def __init__(self, entities: Iterable[type[Entity]]) -> None:
        self._of_nodes: dict[str, Times] = dict(statements.PLATFORM_TIMES)
        self._of_links: dict[str, Times] = {}
        for entity in entities:
            shape = shape_of(entity)
            self._of_nodes[entity.LABEL] = tuple(f.name for f in shape.fields if f.kind == "time")
            for one in entity.RELATIONSHIPS:
                kinds = shape.link_kinds(one)
                times = {name for name, kind in kinds.items() if kind == "datetime"}
                known = self._of_links.get(one.type, ())
                self._of_links[one.type] = tuple(sorted(times.union(known)))

    def together(self, writes: Sequence[GraphWrite]) -> Statement:
        """All of it as one statement. It answers a row; where one of the positions is not the one
        that is held it does nothing, and answers none.

        Rows come in the order of their keys: neighbours in an index are touched together, and two
        batches take their locks in one order. They are in a map, whose type is always the same: for
        lists as parameters the server would make a plan for each order of magnitude of each.
        """
        changes = list(self._changes(_joined(writes)))
        texts = tuple(text(f"batch.rows_{number}") for number, (text, _) in enumerate(changes))
        sent = {f"rows_{number}": rows for number, (_, rows) in enumerate(changes)}
        return self._moving(writes, texts, sent)

    def pieces(self, write: GraphWrite) -> Iterator[Statement]:
        """A large batch as statements for one transaction, each made when it is asked for. The
        first moves the position alone, and answers as above."""
        yield self._moving([write], (), {})
        for text, rows in self._changes(write):
            for start in range(0, len(rows), PIECE_ROWS):
                yield text("batch.rows"), {"batch": {"rows": rows[start : start + PIECE_ROWS]}}

    @staticmethod
    def _moving(writes: Sequence[GraphWrite], texts: tuple[str, ...], rows: Row) -> Statement:
        positions = sorted(map(_positions, writes), key=lambda one: one["checkpoint"])
        # What is held cannot be where there is nothing yet.
        find = "MERGE" if any(write.held is None for write in writes) else "MATCH"
        return _moving_text(find, texts), {"batch": {"positions": positions, **rows}}

    def _changes(self, write: GraphWrite) -> Iterator[tuple[Text, list[Any]]]:
        write, ends, events = _events_apart(write)
        for (kind, name), rows in statements.steps(write):
            if events and kind == "new_links":
                yield self._linked(ends, events)
                events = []
            yield self._change(kind, name, rows)
        if events:
            yield self._linked(ends, events)

    def _linked(self, ends: tuple[str, ...], events: list[Row]) -> tuple[Text, list[Row]]:
        """Events with what they are about: looking for each new event again, once for each of its
        relationships, would take half as long as writing it."""
        times = self._of_nodes["Event"]
        nodes = _as_text([event["node"] for event in events], times)
        rows = [{**event, "node": node} for event, node in zip(events, nodes, strict=True)]
        return partial(_create_events, ends, times), rows

    def _change(self, kind: str, name: Any, rows: list[Any]) -> tuple[Text, list[Any]]:
        """What makes the text for a name of the parameter with the rows, and the rows."""
        if kind == "removed":
            return partial(statements.remove_nodes, name), sorted(rows)
        if kind in {"nodes", "new_nodes"}:
            times = self._of_nodes.get(name, ())
            make = statements.upsert_nodes if kind == "nodes" else statements.create_nodes
            # Of several rows of one node the last wins, so their order is kept.
            return partial(make, name, times=times), _as_text(sorted(rows, key=_id), times)
        links = sorted(rows, key=_ends)
        if kind in {"unlinks", "unlinks_at_end"}:
            return partial(_remove_links, name), links
        times = self._of_links.get(name[0], ())
        if times:
            props = _as_text([row["props"] for row in links], times)
            links = [{**row, "props": its} for row, its in zip(links, props, strict=True)]
        make = statements.upsert_links if kind == "links" else statements.create_links
        return partial(make, name, times=times), links


@lru_cache(maxsize=1024)
def _moving_text(find: str, texts: tuple[str, ...]) -> str:
    """The statement that moves the positions, and does this where it did."""
    return "\n".join(
        [
            # Setting a property takes the node's lock: what another writer committed before is
            # seen, and none can follow until this transaction ends.
            "UNWIND $batch.positions AS p",
            f"{find} (c:Checkpoint {{id: p.checkpoint}}) SET c.id = p.checkpoint",
            "WITH p, c WHERE coalesce(c.epoch, -1) = coalesce(p.held_epoch, -1)",
            "AND coalesce(c.offset, -1) = coalesce(p.held_offset, -1)",
            "WITH collect(p) AS held WHERE size(held) = size($batch.positions)",
            "UNWIND held AS p MATCH (c:Checkpoint {id: p.checkpoint})",
            "SET c.epoch = p.epoch, c.offset = p.offset,",
            "c.published_epoch = coalesce(p.published_epoch, c.published_epoch),",
            "c.published_offset = coalesce(p.published_offset, c.published_offset)",
            "WITH count(*) AS moved WHERE moved > 0",
            *(f"CALL () {{ {text} }}" for text in texts),
            "RETURN moved",
        ]
    )


def _positions(write: GraphWrite) -> Row:
    """The position to compare, and those to store."""
    held_epoch, held_offset = write.held or (None, None)
    published_epoch, published_offset = write.published or (None, None)
    return {
        "checkpoint": statements.checkpoint_id(write.partition),
        "held_epoch": held_epoch,
        "held_offset": held_offset,
        "epoch": write.next[0],
        "offset": write.next[1],
        "published_epoch": published_epoch,
        "published_offset": published_offset,
    }


def _joined(writes: Sequence[GraphWrite]) -> GraphWrite:
    """The changes of all of them as one; its positions are the first one's."""
    if len(writes) == 1:
        return writes[0]
    fields: dict[str, dict[Any, list[Any]]] = {}
    for name in CHANGES:
        found = fields[name] = {}
        for write in writes:
            for key, rows in getattr(write, name).items():
                found.setdefault(key, []).extend(rows)
    return msgspec.structs.replace(writes[0], **fields)


@cache
def _remove_links(key: LinkKey, rows: str) -> str:
    """Neo4j chooses for itself where to begin, and does not see which end has very many. Here it
    has to find both ends first: DISTINCT keeps it from beginning at one only."""
    kind, start, end = (statements.plain(part) for part in key)
    return (
        f"UNWIND {statements.parameter(rows)} AS row"
        f" MATCH (a:{start} {{id: row.from}}) MATCH (b:{end} {{id: row.to}})"
        f" WITH DISTINCT a, b MATCH (a)-[r:{kind}]->(b) DELETE r"
    )


def is_small(write: GraphWrite) -> bool:
    """Whether it is one statement, which may be shared with others."""
    return sum(len(rows) for _, rows in statements.steps(write)) <= SMALL_ROWS


def _events_apart(write: GraphWrite) -> tuple[GraphWrite, tuple[str, ...], list[Row]]:
    """The batch without its new events and what they are about; the labels of that; the events as
    `{node, <label>: [ids]}`."""
    rows = write.new_nodes.get("Event", [])
    events: dict[str, Row] = {row["id"]: {"node": row} for row in rows if "id" in row}
    if len(events) < len(rows):
        return write, (), []  # the server refuses it
    new_links: dict[LinkKey, list[Row]] = {}
    ends: list[str] = []
    for (kind, start, end), rows in sorted(write.new_links.items()):
        if (kind, start) != ("ABOUT", "Event") or any(r["from"] not in events for r in rows):
            new_links[kind, start, end] = rows
            continue
        ends.append(end)
        for row in rows:
            events[row["from"]].setdefault(end, []).append(row["to"])
    new_nodes = {label: rows for label, rows in write.new_nodes.items() if label != "Event"}
    rest = msgspec.structs.replace(write, new_nodes=new_nodes, new_links=new_links)
    return rest, tuple(ends), [events[key] for key in sorted(events)]


@cache
def _create_events(ends: tuple[str, ...], times: Times, rows: str) -> str:
    made = "".join(f" SET n.{name} = datetime(row.node.{name})" for name in times)
    links = "".join(
        f" CALL (n, row) {{ UNWIND row.{end} AS about MATCH (o:{end} {{id: about}})"
        " CREATE (n)-[:ABOUT]->(o) }"
        for end in map(statements.plain, ends)
    )
    return (
        f"UNWIND {statements.parameter(rows)} AS row CREATE (n:Event) SET n = row.node{made}"
        f"{' WITH n, row' if links else ''}{links}"
    )


def _id(row: Row) -> str:
    # A row without an id is the server's to refuse.
    return row.get("id") or ""


def _ends(row: Row) -> tuple[str, str]:
    return row["from"], row["to"]


def _as_text(rows: list[Row], times: Times) -> list[Row]:
    """The rows with these times as ISO 8601 text."""
    if not times:
        return rows
    made: list[Row] = []
    for row in rows:
        sent = dict(row)
        for name in times:
            value = row.get(name)
            if isinstance(value, datetime):
                sent[name] = value.isoformat()
        made.append(sent)
    return made
