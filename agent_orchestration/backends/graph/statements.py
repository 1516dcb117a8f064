"""The statements that write the graph, built from declarations. Both engines run them.

Labels, relationship types and property names come from declarations only, and must be plain
identifiers; values are always parameters.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from agent_orchestration.backends.graph import GraphWrite, LinkKey, WriteRefused
from agent_orchestration.core.entities import Entity, Row

#: The platform's own labels that batches write, beside those of the entities.
PLATFORM_LABELS = ("Tenant", "Event")
CHECKPOINT_LABEL = "Checkpoint"
#: Their properties that are times.
PLATFORM_TIMES = {"Tenant": ("at", "next_due"), "Event": ("at",)}
#: The platform's own relationship types: from an event to what it touched, and to its cause.
PLATFORM_TYPES = ("ABOUT", "CAUSED_BY")

READ_CHECKPOINT = (
    "MATCH (c:Checkpoint {id: $checkpoint}) RETURN c.epoch AS epoch, c.offset AS offset"
)
READ_PUBLISHED = (
    "MATCH (c:Checkpoint {id: $checkpoint}) WHERE c.published_offset IS NOT NULL"
    " RETURN c.published_epoch AS epoch, c.published_offset AS offset"
)
SET_POSITION = "SET c.epoch = $epoch, c.offset = $offset"
SET_BOTH_POSITIONS = SET_POSITION + (
    ", c.published_epoch = $published_epoch, c.published_offset = $published_offset"
)


def checkpoint_id(partition: int) -> str:
    """The `id` of a partition's Checkpoint node."""
    return f"events/{partition}"


@cache
def upsert_nodes(label: str, rows: str = "rows", times: tuple[str, ...] = ()) -> str:
    """Each row of the parameter named `rows` replaces all properties of the node with its id.

    `times` names properties that come as ISO 8601 text and are stored as datetimes.
    """
    return (
        f"UNWIND {parameter(rows)} AS row MERGE (n:{plain(label)} {{id: row.id}})"
        f" SET n = {_timed('row', times)}"
    )


@cache
def create_nodes(label: str, rows: str = "rows", times: tuple[str, ...] = ()) -> str:
    """Like `upsert_nodes` where the nodes cannot exist yet."""
    node = f"(n:{plain(label)})"
    return f"UNWIND {parameter(rows)} AS row CREATE {node} SET n = {_timed('row', times)}"


@cache
def remove_nodes(label: str, ids: str = "ids") -> str:
    """Delete the nodes with these ids and their relationships."""
    node = f"(n:{plain(label)} {{id: id}})"
    return f"UNWIND {parameter(ids)} AS id MATCH {node} DETACH DELETE n"


@cache
def upsert_links(key: LinkKey, rows: str = "rows", times: tuple[str, ...] = ()) -> str:
    """Each row `{from, to, props}` replaces all properties of the relationship between the two;
    `times` as for nodes.

    A row whose start or end does not exist makes nothing.
    """
    return _links(key, rows, times, "MERGE")


@cache
def create_links(key: LinkKey, rows: str = "rows", times: tuple[str, ...] = ()) -> str:
    """Like `upsert_links` where the relationships cannot exist yet: merging looks at all that the
    start has."""
    return _links(key, rows, times, "CREATE")


def _links(key: LinkKey, rows: str, times: tuple[str, ...], verb: str) -> str:
    kind, start, end = (plain(part) for part in key)
    props, found = "row.props", ""
    if times:
        props, found = _timed("props", times), " WITH r, row.props AS props"
    return (
        f"UNWIND {parameter(rows)} AS row"
        f" MATCH (a:{start} {{id: row.from}}) MATCH (b:{end} {{id: row.to}})"
        f" {verb} (a)-[r:{kind}]->(b){found} SET r = {props}"
    )


def _timed(row: str, times: tuple[str, ...]) -> str:
    """A map with its texts that are times as datetimes; what it lacks stays away."""
    made = "".join(f", {plain(name)}: datetime({row}.{plain(name)})" for name in times)
    return f"{row} {{.*{made}}}" if times else row


@cache
def remove_links(key: LinkKey, rows: str = "rows") -> str:
    """Delete the relationships between the two nodes of each row `{from, to}`."""
    kind, start, end = (plain(part) for part in key)
    return (
        f"UNWIND {parameter(rows)} AS row"
        f" MATCH (a:{start} {{id: row.from}})-[r:{kind}]->(b:{end} {{id: row.to}}) DELETE r"
    )


@cache
def remove_links_at_end(key: LinkKey, rows: str = "rows") -> str:
    """The same, looking at the relationships of the end instead of those of the start."""
    kind, start, end = (plain(part) for part in key)
    return (
        f"UNWIND {parameter(rows)} AS row"
        f" MATCH (b:{end} {{id: row.to}})<-[r:{kind}]-(a:{start} {{id: row.from}}) DELETE r"
    )


@cache
def node_ids(label: str) -> str:
    """A page of a label's ids in order: `{id}`, beyond `$after`, at most `$limit`."""
    return (
        f"MATCH (n:{plain(label)}) WHERE n.id > $after RETURN n.id AS id ORDER BY id LIMIT $limit"
    )


@cache
def whole_nodes(label: str) -> str:
    """The nodes with `$ids`, in one row: a driver takes its time for each row. `{nodes}`."""
    node = f"(n:{plain(label)} {{id: wanted}})"
    return f"UNWIND $ids AS wanted MATCH {node} RETURN collect(n) AS nodes"


@cache
def links_from(label: str) -> str:
    """What leads away from the nodes with `$ids`, in one row: `{links}`, each as `{source, type,
    label, target, link}`."""
    return (
        f"UNWIND $ids AS wanted MATCH (n:{plain(label)} {{id: wanted}})-[r]->(m)"
        " RETURN collect({source: n.id, type: type(r), label: labels(m)[0], target: m.id,"
        " link: r}) AS links"
    )


def explain(statement: str) -> str:
    """The statement that asks for another one's plan."""
    return f"EXPLAIN {statement}"


class Vocabulary:
    """The labels and relationship types that a batch may name."""

    def __init__(self, entities: Iterable[type[Entity]]) -> None:
        declared = tuple(entities)
        self.labels = frozenset((*(e.LABEL for e in declared), *PLATFORM_LABELS))
        types = [r.type for e in declared for r in e.RELATIONSHIPS]
        self.types = frozenset((*types, *PLATFORM_TYPES))

    def check(self, write: GraphWrite) -> None:
        """Raise `WriteRefused` for a label or relationship type that is not declared."""
        for label in (*write.nodes, *write.new_nodes, *write.removed):
            self._check_label(label)
        for kind, start, end in (
            *(*write.links, *write.new_links),
            *(*write.unlinks, *write.unlinks_at_end),
        ):
            self._check_label(start)
            self._check_label(end)
            if kind not in self.types:
                raise WriteRefused("undeclared", f"the relationship type {kind} is not declared")

    def _check_label(self, label: str) -> None:
        if label not in self.labels:
            raise WriteRefused("undeclared", f"the label {label} is not declared")


#: What a batch changes, in the order in which that is done, as it is named in a `GraphWrite`.
CHANGES = ("nodes", "new_nodes", "removed", "unlinks", "unlinks_at_end", "links", "new_links")
Part = tuple[str, str | LinkKey]


def steps(write: GraphWrite) -> Iterator[tuple[Part, list[Row] | list[str]]]:
    """What a batch does, always in one order, without what is empty: nodes, removals, unlinks,
    links. The same kinds of changes make the same text, whose plan an engine keeps."""
    for kind in CHANGES:
        for name, rows in sorted(getattr(write, kind).items()):
            if rows:
                yield (kind, name), rows


def next_position(write: GraphWrite) -> tuple[str, Row]:
    """The clause that stores the batch's positions in the Checkpoint node `c`, and its parameters,
    with the node's `id`."""
    epoch, offset = write.next
    parameters: Row = {
        "checkpoint": checkpoint_id(write.partition),
        "epoch": epoch,
        "offset": offset,
    }
    if write.published is None:
        return SET_POSITION, parameters
    epoch, offset = write.published
    published = {"published_epoch": epoch, "published_offset": offset}
    return SET_BOTH_POSITIONS, {**parameters, **published}


def parameter(name: str) -> str:
    """A parameter as it stands in a statement; `batch.rows` is in the map `batch`."""
    return f"${'.'.join(map(plain, name.split('.')))}"


def plain(text: str) -> str:
    """The text, where it is one that may stand in a statement as it is. Raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"{text!r} is not a plain identifier")
    return text
