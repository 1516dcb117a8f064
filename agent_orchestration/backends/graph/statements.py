# NOTE to the helper who owns backends/graph: your version of this file was overwritten by accident at 07:49.
# Please write YOUR version again (you have it), API as in the brief; app.py expects KgliteGraph(path, entities),
# fingerprint(graph, entities), read_only.ReadOnlyRunner(graph).run(query, parameters, tenant). Delete this note.
"""The statements that write the graph, built from the entities' declarations for both engines.

Only names from declarations come into the text, and they are checked; every value is a parameter.
"""

import re
from collections.abc import Iterable
from functools import cache

from agent_orchestration.backends.graph import LinkKey
from agent_orchestration.core.entities import Entity, Index

#: Labels beside those of the entities, with their indexes.
PLATFORM_LABELS: dict[str, tuple[Index, ...]] = {
    "Tenant": (Index("tenant_next_due_index", ("next_due",)),),
    "Event": (
        Index("event_receipt_key_index", ("receipt_key",)),
        Index("event_tenant_seq_index", ("tenant", "seq")),
    ),
    "Checkpoint": (),
}

CHECKPOINT = "MATCH (c:Checkpoint {id: $id}) RETURN c.epoch AS epoch, c.offset AS offset"
SET_CHECKPOINT = "MERGE (c:Checkpoint {id: $id}) SET c.epoch = $epoch, c.offset = $offset"
CLEAR = "MATCH (n) DETACH DELETE n"


def checkpoint_id(partition: int) -> str:
    """The id of a partition's Checkpoint node."""
    return f"events/{partition}"


@cache
def upsert_nodes(label: str) -> str:
    """`$rows`: all properties of each node, `id` among them."""
    return f"UNWIND $rows AS row MERGE (n:{_name(label)} {{id: row.id}}) SET n = row"


@cache
def remove_nodes(label: str) -> str:
    """`$ids`: the nodes to delete, with their relationships."""
    return f"UNWIND $ids AS wanted MATCH (n:{_name(label)} {{id: wanted}}) DETACH DELETE n"


@cache
def upsert_links(key: LinkKey) -> str:
    """`$rows`: `{from, to, props}`; where either node is missing, nothing is made."""
    kind, start, end = (_name(part) for part in key)
    return (
        f"UNWIND $rows AS row MATCH (a:{start} {{id: row.from}}) MATCH (b:{end} {{id: row.to}})"
        f" MERGE (a)-[r:{kind}]->(b) SET r = row.props"
    )


@cache
def remove_links(key: LinkKey) -> str:
    """`$rows`: `{from, to}`."""
    kind, start, end = (_name(part) for part in key)
    return (
        f"UNWIND $rows AS row MATCH (a:{start} {{id: row.from}})-[r:{kind}]->"
        f"(b:{end} {{id: row.to}}) DELETE r"
    )


def schema(entities: Iterable[type[Entity]]) -> list[str]:
    """Constraints and indexes, each harmless to repeat."""
    labels = {cls.LABEL: cls.INDEXES for cls in entities} | PLATFORM_LABELS
    return [
        *(
            f"CREATE CONSTRAINT {_name(label).lower()}_id IF NOT EXISTS"
            f" FOR (n:{label}) REQUIRE n.id IS UNIQUE"
            for label in labels
        ),
        *(
            f"CREATE INDEX {_name(index.name)} IF NOT EXISTS FOR (n:{_name(label)})"
            f" ON ({', '.join(f'n.{_name(name)}' for name in index.properties)})"
            for label, indexes in labels.items()
            for index in indexes
        ),
    ]


@cache
def page_of_nodes(label: str) -> str:
    """A page of all nodes of a label in order of id: `{id, properties}`."""
    return (
        f"MATCH (n:{_name(label)}) WHERE n.id > $after"
        " RETURN n.id AS id, properties(n) AS properties ORDER BY id LIMIT $limit"
    )


@cache
def links_from(label: str) -> str:
    """The relationships that start at the nodes with `$ids`: `{start, type, end, properties}`."""
    return (
        f"UNWIND $ids AS wanted MATCH (n:{_name(label)} {{id: wanted}})-[r]->(m)"
        " RETURN n.id AS start, type(r) AS type, labels(m) AS labels, m.id AS end,"
        " properties(r) AS properties"
    )


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"not a name for the graph: {text!r}")
    return text
