"""The statements that write the graph come from declarations and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.backends.graph import (
    GraphWrite,
    LinkKey,
    WriteRefused,
    kglite_statements,
    schema_statements,
    statements,
)
from agent_orchestration.backends.graph.kglite_values import VirtualProperties
from agent_orchestration.core.entities import Entity, Index, Relationship


class Box(Entity):
    LABEL = "Box"
    RELATIONSHIPS = (Relationship("HOLDS", "things", to="Thing"),)
    INDEXES = (Index("box_tenant_size_index", ("tenant", "size")),)

    size: int = 0
    things: tuple[str, ...] = ()


class Thing(Entity):
    LABEL = "Thing"

    title: str


SET_POSITION = f"MERGE (c:Checkpoint {{id: $checkpoint}}) {statements.SET_POSITION}"
HOLDS: LinkKey = ("HOLDS", "Box", "Thing")


def test_each_statement_by_name() -> None:
    assert statements.upsert_nodes("Box") == (
        "UNWIND $rows AS row MERGE (n:Box {id: row.id}) SET n = row"
    )
    assert statements.create_nodes("Box", times=("at",)) == (
        "UNWIND $rows AS row CREATE (n:Box) SET n = row {.*, at: datetime(row.at)}"
    )
    assert kglite_statements.create_nodes_with(("id", "size"), "Box") == (
        "UNWIND $rows AS row CREATE (n:Box {id: row.id, size: row.size})"
    )
    assert statements.remove_nodes("Box") == (
        "UNWIND $ids AS id MATCH (n:Box {id: id}) DETACH DELETE n"
    )
    assert statements.upsert_links(HOLDS) == (
        "UNWIND $rows AS row MATCH (a:Box {id: row.from}) MATCH (b:Thing {id: row.to})"
        " MERGE (a)-[r:HOLDS]->(b) SET r = row.props"
    )
    assert statements.create_links(HOLDS) == (
        "UNWIND $rows AS row MATCH (a:Box {id: row.from}) MATCH (b:Thing {id: row.to})"
        " CREATE (a)-[r:HOLDS]->(b) SET r = row.props"
    )
    assert statements.remove_links(HOLDS) == (
        "UNWIND $rows AS row MATCH (a:Box {id: row.from})-[r:HOLDS]->(b:Thing {id: row.to})"
        " DELETE r"
    )
    assert statements.remove_links_at_end(HOLDS) == (
        "UNWIND $rows AS row MATCH (b:Thing {id: row.to})<-[r:HOLDS]-(a:Box {id: row.from})"
        " DELETE r"
    )


def test_the_schema_has_a_constraint_for_each_label_and_every_index() -> None:
    schema = list(schema_statements.schema([Box, Thing]).values())
    assert schema[:5] == [
        f"CREATE CONSTRAINT {label.lower()}_id IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
        for label in ("Box", "Thing", "Tenant", "Event", "Checkpoint")
    ]
    assert schema[5] == (
        "CREATE INDEX box_tenant_size_index IF NOT EXISTS FOR (n:Box) ON (n.tenant, n.size)"
    )
    assert [line.partition(" FOR ")[2] for line in schema[6:]] == [
        "(n:Tenant) ON (n.next_due)",
        "(n:Event) ON (n.receipt_key)",
        "(n:Event) ON (n.tenant, n.seq)",
        "(n:Event) ON (n.tenant, n.at)",
    ]


def test_an_index_may_be_over_the_last_property_alone() -> None:
    assert schema_statements.index_of_last("Box", Box.INDEXES[0]) == (
        "CREATE RANGE INDEX box_tenant_size_index IF NOT EXISTS FOR (n:Box) ON (n.size)"
    )


def test_a_batch_is_one_statement_in_order() -> None:
    write = GraphWrite(
        partition=3,
        held=None,
        next=(7, 42),
        published=(7, 40),
        nodes={"Box": [{"id": "b"}], "Thing": []},
        new_nodes={"Thing": [{"id": "u"}, {"id": "v", "size": 1}]},
        removed={"Thing": ["t"]},
        links={HOLDS: [{"from": "b", "to": "u", "props": {}}]},
        new_links={HOLDS: [{"from": "b", "to": "v", "props": {}}]},
        unlinks={HOLDS: [{"from": "b", "to": "t"}]},
        unlinks_at_end={HOLDS: [{"from": "c", "to": "t"}]},
    )
    text, parameters = kglite_statements.one_statement(write, {"Thing": ("id", "size")})
    assert text.split("\nWITH count(*) AS done\n") == [
        statements.upsert_nodes("Box", "rows_0"),
        kglite_statements.create_nodes_with(("id", "size"), "Thing", "rows_1"),
        statements.remove_nodes("Thing", "rows_2"),
        statements.remove_links(HOLDS, "rows_3"),
        statements.remove_links_at_end(HOLDS, "rows_4"),
        statements.upsert_links(HOLDS, "rows_5"),
        statements.create_links(HOLDS, "rows_6"),
        f"MERGE (c:Checkpoint {{id: $checkpoint}}) {statements.SET_BOTH_POSITIONS}",
    ]
    assert parameters == {
        "rows_0": [{"id": "b"}],
        "rows_1": [{"id": "u"}, {"id": "v", "size": 1}],
        "rows_2": ["t"],
        "rows_3": [{"from": "b", "to": "t"}],
        "rows_4": [{"from": "c", "to": "t"}],
        "rows_5": [{"from": "b", "to": "u", "props": {}}],
        "rows_6": [{"from": "b", "to": "v", "props": {}}],
        "checkpoint": "events/3",
        "epoch": 7,
        "offset": 42,
        "published_epoch": 7,
        "published_offset": 40,
    }


def test_a_large_batch_is_cut_into_pieces_that_end_with_its_position() -> None:
    boxes = [{"id": f"b{n}"} for n in range(5)]
    write = GraphWrite(
        partition=0, held=None, next=(1, 2), nodes={"Box": boxes}, removed={"Thing": ["t"]}
    )
    assert list(kglite_statements.pieces(write, 2)) == [
        (statements.upsert_nodes("Box"), {"rows": boxes[:2]}),
        (statements.upsert_nodes("Box"), {"rows": boxes[2:4]}),
        (statements.upsert_nodes("Box"), {"rows": boxes[4:]}),
        (statements.remove_nodes("Thing", "rows"), {"rows": ["t"]}),
        (SET_POSITION, {"checkpoint": "events/0", "epoch": 1, "offset": 2}),
    ]


def test_an_empty_batch_moves_the_position_alone() -> None:
    text, _ = kglite_statements.one_statement(GraphWrite(partition=0, held=None, next=(1, 0)), {})
    assert text == SET_POSITION


@given(st.text(max_size=30).filter(lambda text: not (text.isascii() and text.isidentifier())))
def test_no_name_but_an_identifier_comes_into_a_statement(name: str) -> None:
    for build in (
        lambda: statements.upsert_nodes(name),
        # What a dot separates are the parts of a parameter's name.
        lambda: statements.upsert_nodes("Box", name.replace(".", " ")),
        lambda: statements.create_nodes(name),
        lambda: kglite_statements.create_nodes_with(("id",), name),
        lambda: kglite_statements.create_nodes_with((name,), "Box"),
        lambda: statements.remove_nodes(name),
        lambda: statements.upsert_links((name, "Box", "Thing")),
        lambda: statements.upsert_links(("HOLDS", name, "Thing")),
        lambda: statements.create_links(("HOLDS", name, "Thing")),
        lambda: statements.remove_links(("HOLDS", "Box", name)),
        lambda: statements.remove_links_at_end((name, "Box", "Thing")),
        lambda: schema_statements.constraint(name),
        lambda: schema_statements.index(name, Index("x", ("y",))),
        lambda: schema_statements.index("Box", Index(name, ("y",))),
        lambda: schema_statements.index("Box", Index("x", ("y", name))),
        lambda: schema_statements.index_of_last("Box", Index("x", (name,))),
        lambda: statements.node_ids(name),
        lambda: statements.whole_nodes(name),
        lambda: statements.links_from(name),
    ):
        with pytest.raises(ValueError, match="not a plain identifier"):
            build()


@pytest.mark.parametrize(
    "changes",
    [
        {"nodes": {"Nobody": [{"id": "x"}]}},
        {"nodes": {"Checkpoint": [{"id": "events/0"}]}},
        {"new_nodes": {"Nobody": [{"id": "x"}]}},
        {"removed": {"Nobody": ["x"]}},
        {"links": {("MADE_UP", "Box", "Thing"): []}},
        {"links": {("HOLDS", "Nobody", "Thing"): []}},
        {"new_links": {("MADE_UP", "Box", "Thing"): []}},
        {"unlinks": {("HOLDS", "Box", "Nobody"): []}},
        {"unlinks_at_end": {("HOLDS", "Nobody", "Thing"): []}},
    ],
)
def test_what_is_not_declared_is_refused(changes: dict[str, Any]) -> None:
    write = GraphWrite(partition=0, held=None, next=(1, 0), **changes)
    with pytest.raises(WriteRefused, match="is not declared"):
        statements.Vocabulary([Box, Thing]).check(write)


def test_the_platforms_own_labels_and_types_are_declared() -> None:
    write = GraphWrite(
        partition=0,
        held=None,
        next=(1, 0),
        nodes={"Event": [], "Tenant": []},
        links={("ABOUT", "Event", "Box"): [], ("CAUSED_BY", "Event", "Event"): []},
    )
    statements.Vocabulary([Box, Thing]).check(write)


class OptionalType(Entity):
    LABEL = "Optional"

    type: str | None = None


class OptionalTitle(Entity):
    LABEL = "Both"

    name: str
    title: str | None = None


class RequiredBoth(Entity):
    LABEL = "Both"

    name: str
    title: str
    type: str


@pytest.mark.parametrize("entity", [OptionalType, OptionalTitle])
def test_an_optional_property_that_the_engine_makes_up_is_refused(entity: type[Entity]) -> None:
    with pytest.raises(TypeError, match="must not be optional"):
        VirtualProperties([entity])


def test_required_ones_are_kept_and_made_up_ones_left_out() -> None:
    values = VirtualProperties([RequiredBoth, Thing, Box])
    made_up = {"title": "t", "name": "t", "type": "Box", "label": "Box", "node_type": "Box"}

    def node(label: str) -> dict[str, Any]:
        found = {"id": 1, "labels": [label], "properties": {"id": "x", **made_up}}
        return values.canonical(found)

    assert node("Box") == {"_labels": ["Box"], "id": "x"}
    assert node("Thing") == {"_labels": ["Thing"], "id": "x", "title": "t"}
    assert node("Event") == {"_labels": ["Event"], "id": "x", "type": "Box"}
    assert node("Both") == {
        "_labels": ["Both"],
        "id": "x",
        "title": "t",
        "name": "t",
        "type": "Box",
    }
