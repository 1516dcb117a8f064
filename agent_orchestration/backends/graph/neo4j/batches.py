"""A batch as statements for Neo4j, with few different texts, so that their plans are found in the
server's cache: one for each kind of row, or one for all kinds in a small batch, where ways to the
server and back would take most of the time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import msgspec

from agent_orchestration.backends.graph import GraphWrite, LinkKey, statements
from agent_orchestration.core.entities import Entity, Row, shape_of

#: A batch of so many rows is one statement.
SMALL_ROWS = 300
#: A statement gets at most so many rows, which bounds what it holds in memory.
PIECE_ROWS = 10_000

#: What is done, in that order; `events` are new ones with what they are about.
KINDS = (*statements.CHANGES[:-1], "events", statements.CHANGES[-1])
#: The server would plan again whenever its statistics have changed, which these plans do not depend
#: on: they begin at the keys of nodes.
_NEVER_REPLAN = "CYPHER replan=skip "

Statement = tuple[Any, Row]
Times = tuple[str, ...]
Step = tuple[int, Any]
"""(place in `KINDS`, label or key of the relationships)."""
_EVENTS: Step = (KINDS.index("events"), "Event")


class Batches:
    """Makes the statements of batches for the entities that are declared.

    Their times travel as text: the driver needs some 30 us for each datetime, many times what the
    rest of its row takes. Other datetimes are left to the driver.
    """

    def __init__(self, entities: Iterable[type[Entity]]) -> None:
        self._of_nodes: dict[str, Times] = dict(statements.PLATFORM_TIMES)
        self._of_links: dict[str, Times] = {}
        #: What there was to do so far, and the labels that events were about.
        self._known: set[Step] = set()
        self._abouts: set[str] = set()
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
        found = self._steps(_joined(writes))
        # What any batch had is in every statement from then on, so that soon there is one text.
        self._known |= found.keys()
        steps = sorted(self._known)
        texts = tuple(self._text(step, f"batch.rows_{n}") for n, step in enumerate(steps))
        sent = {
            f"rows_{n}": self._sent(step, found[step]) if step in found else []
            for n, step in enumerate(steps)
        }
        return self._moving(writes, texts, sent)

    def pieces(self, write: GraphWrite) -> Iterator[Statement]:
        """A large batch as statements for one transaction, each made when it is asked for. The
        first moves the position alone, and answers as above."""
        yield self._moving([write], (), {})
        for step, rows in sorted(self._steps(write).items()):
            text, sent = self._text(step, "batch.rows"), self._sent(step, rows)
            for start in range(0, len(sent), PIECE_ROWS):
                yield _NEVER_REPLAN + text, {"batch": {"rows": sent[start : start + PIECE_ROWS]}}

    @staticmethod
    def _moving(writes: Sequence[GraphWrite], texts: tuple[str, ...], rows: Row) -> Statement:
        positions = sorted(map(_positions, writes), key=lambda one: one["checkpoint"])
        # What is held cannot be where there is nothing yet.
        find = "MERGE" if any(write.held is None for write in writes) else "MATCH"
        return _moving_text(find, texts), {"batch": {"positions": positions, **rows}}

    def _steps(self, write: GraphWrite) -> dict[Step, list[Any]]:
        """What there is to do, new events with what they are about as one step. Looking for each of
        them again, once for each of its relationships, would take half as long as writing it."""
        write, events = _events_apart(write)
        found = {(KINDS.index(kind), name): rows for (kind, name), rows in statements.steps(write)}
        if events:
            found[_EVENTS] = list(events.values())
        self._abouts.update(name for event in events.values() for name in event if name != "node")
        return found

    def _text(self, step: Step, rows: str) -> str:
        """The statement that does this with the rows in the parameter of that name."""
        number, name = step
        kind = KINDS[number]
        if step == _EVENTS:
            return _create_events(tuple(sorted(self._abouts)), self._of_nodes["Event"], rows)
        make = _MAKERS[kind]
        if kind in {"nodes", "new_nodes"}:
            return make(name, rows, self._of_nodes.get(name, ()))
        if kind in {"links", "new_links"}:
            return make(name, rows, self._of_links.get(name[0], ()))
        return make(name, rows)

    def _sent(self, step: Step, rows: list[Any]) -> list[Any]:
        """The rows in their order, with their times as text."""
        number, name = step
        kind = KINDS[number]
        if step == _EVENTS:
            nodes = _as_text([event["node"] for event in rows], self._of_nodes["Event"])
            made = [{**event, "node": node} for event, node in zip(rows, nodes, strict=True)]
            return sorted(made, key=lambda event: _id(event["node"]))
        if kind == "removed":
            return sorted(rows)
        if kind in {"nodes", "new_nodes"}:
            # Of several rows of one node the last wins, so their order is kept.
            return _as_text(sorted(rows, key=_id), self._of_nodes.get(name, ()))
        links = sorted(rows, key=_ends)
        times = self._of_links.get(name[0], ()) if kind in {"links", "new_links"} else ()
        if times:
            props = _as_text([row["props"] for row in links], times)
            links = [{**row, "props": its} for row, its in zip(links, props, strict=True)]
        return links


@lru_cache(maxsize=1024)
def _moving_text(find: str, texts: tuple[str, ...]) -> str:
    """The statement that moves the positions, and does this where it did."""
    return "\n".join(
        [
            # Setting a property takes the node's lock: what another writer committed before is
            # seen, and none can follow until this transaction ends.
            f"{_NEVER_REPLAN}UNWIND $batch.positions AS p",
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
    for name in statements.CHANGES:
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


def _events_apart(write: GraphWrite) -> tuple[GraphWrite, dict[str, Row]]:
    """The batch without its new events and what they are about; the events by id, each as
    `{node, <label>: [ids]}`."""
    rows = write.new_nodes.get("Event", [])
    events: dict[str, Row] = {row["id"]: {"node": row} for row in rows if "id" in row}
    if len(events) < len(rows):
        return write, {}  # the server refuses it
    new_links: dict[LinkKey, list[Row]] = {}
    for (kind, start, end), its in write.new_links.items():
        if (kind, start) != ("ABOUT", "Event") or any(row["from"] not in events for row in its):
            new_links[kind, start, end] = its
            continue
        for row in its:
            events[row["from"]].setdefault(end, []).append(row["to"])
    new_nodes = {label: its for label, its in write.new_nodes.items() if label != "Event"}
    return msgspec.structs.replace(write, new_nodes=new_nodes, new_links=new_links), events


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


_MAKERS: dict[str, Callable[..., str]] = {
    "nodes": statements.upsert_nodes,
    "new_nodes": statements.create_nodes,
    "removed": statements.remove_nodes,
    "unlinks": _remove_links,
    "unlinks_at_end": _remove_links,
    "links": statements.upsert_links,
    "new_links": statements.create_links,
}


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
