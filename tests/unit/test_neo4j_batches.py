"""A batch for Neo4j: few statements, always the same texts, times as text, rows in order."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import GraphWrite, LinkKey
from agent_orchestration.backends.graph.neo4j import batches
from agent_orchestration.backends.graph.neo4j.batches import Batches, is_small
from agent_orchestration.core.entities import Entity, Relationship, Row, Time
from agent_orchestration.core.folding import tenant_row
from agent_orchestration.pipeline.rows import BatchRows
from tests.properties.histories import OPENING, History

NOW = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)
TEXT = "2024-02-29T12:30:15.123000+00:00"


class Loan(msgspec.Struct, frozen=True):
    person: str
    since: Time | None = None


class Book(Entity):
    LABEL = "Book"
    RELATIONSHIPS = (
        Relationship("LENT_TO", "loans", to="Person", key="person", properties=("since",)),
        Relationship("CITES", "cites", to="Book"),
    )

    title: str
    bought: Time | None = None
    sold: Time | None = None
    loans: tuple[Loan, ...] = ()
    cites: tuple[str, ...] = ()


LENT_TO: LinkKey = ("LENT_TO", "Book", "Person")
CITES: LinkKey = ("CITES", "Book", "Book")


MOVING = """\
CYPHER replan=skip UNWIND $batch.positions AS p
MATCH (c:Checkpoint {id: p.checkpoint}) SET c.id = p.checkpoint
WITH p, c WHERE coalesce(c.epoch, -1) = coalesce(p.held_epoch, -1)
AND coalesce(c.offset, -1) = coalesce(p.held_offset, -1)
WITH collect(p) AS held WHERE size(held) = size($batch.positions)
UNWIND held AS p MATCH (c:Checkpoint {id: p.checkpoint})
SET c.epoch = p.epoch, c.offset = p.offset,
c.published_epoch = coalesce(p.published_epoch, c.published_epoch),
c.published_offset = coalesce(p.published_offset, c.published_offset)
WITH count(*) AS moved WHERE moved > 0
"""
POSITION = {
    "checkpoint": "events/0",
    "held_epoch": 1,
    "held_offset": 5,
    "epoch": 1,
    "offset": 7,
    "published_epoch": None,
    "published_offset": None,
}
END = "RETURN moved"


def written(**changes: Any) -> GraphWrite:
    return GraphWrite(0, (1, 5), (1, 7), **changes)


def sent(**changes: Any) -> list[tuple[str, Row]]:
    return list(Batches([Book]).pieces(written(**changes)))


def test_small_batches_are_one_statement() -> None:
    rows = [{"id": "b"}, {"id": "a", "bought": NOW}]
    first = written(new_nodes={"Book": rows}, removed={"Book": ["z"]})
    new = {"Book": [{"id": "aa"}]}
    second = GraphWrite(1, (1, 3), (1, 4), new_nodes=new, published=(1, 2))
    statement, parameters = Batches([Book]).together([second, first])
    assert statement == (
        f"{MOVING}CALL () {{ UNWIND $batch.rows_0 AS row CREATE (n:Book)"
        " SET n = row {.*, bought: datetime(row.bought), sold: datetime(row.sold)} }\n"
        "CALL () { UNWIND $batch.rows_1 AS id MATCH (n:Book {id: id}) DETACH DELETE n }\n"
        f"{END}"
    )
    other = {"checkpoint": "events/1", "held_offset": 3, "offset": 4}
    published = {"published_epoch": 1, "published_offset": 2}
    assert parameters["batch"] == {
        "positions": [POSITION, {**POSITION, **other, **published}],
        "rows_0": [{"id": "a", "bought": TEXT}, {"id": "aa"}, {"id": "b"}],
        "rows_1": ["z"],
    }
    assert is_small(first)
    assert not is_small(written(removed={"Book": [str(n) for n in range(301)]}))


def test_soon_there_is_one_text_for_all_small_batches() -> None:
    made = Batches([Book])
    first: dict[str, list[Row]] = {"Book": [{"id": "a"}]}
    second: dict[LinkKey, list[Row]] = {CITES: [{"from": "a", "to": "b", "props": Row()}]}
    made.together([written(new_nodes=first)])
    whole, _ = made.together([written(new_nodes=first, new_links=second)])
    again, parameters = made.together([written(new_links=second)])
    assert again == whole
    assert parameters["batch"]["rows_0"] == []
    assert made.together([written()])[0] == whole


def test_a_batch_moves_the_position_first() -> None:
    assert sent() == [(f"{MOVING}{END}", {"batch": {"positions": [POSITION]}})]
    first, _ = Batches([Book]).together([GraphWrite(0, None, (1, 0))])
    assert "MERGE (c:Checkpoint " in first


@pytest.mark.parametrize(
    ("field", "verb"), [("nodes", "MERGE (n:Book {id: row.id})"), ("new_nodes", "CREATE (n:Book)")]
)
def test_times_of_nodes_travel_as_text_and_what_is_absent_stays_absent(
    field: str, verb: str
) -> None:
    rows = [{"id": "a", "bought": NOW, "other": NOW}, {"id": "b", "title": "B"}]
    [_, (statement, parameters)] = sent(**{field: {"Book": rows}})
    assert statement == (
        f"CYPHER replan=skip UNWIND $batch.rows AS row {verb}"
        " SET n = row {.*, bought: datetime(row.bought), sold: datetime(row.sold)}"
    )
    assert parameters["batch"]["rows"] == [{"id": "a", "bought": TEXT, "other": NOW}, rows[1]]
    assert rows[0]["bought"] == NOW


@pytest.mark.parametrize(("field", "verb"), [("links", "MERGE"), ("new_links", "CREATE")])
def test_times_of_relationships_travel_as_text(field: str, verb: str) -> None:
    link = {"from": "a", "to": "b", "props": {"since": NOW}}
    [_, (statement, parameters)] = sent(**{field: {LENT_TO: [link]}})
    assert statement.endswith(
        f" {verb} (a)-[r:LENT_TO]->(b) WITH r, row.props AS props"
        " SET r = props {.*, since: datetime(props.since)}"
    )
    assert parameters["batch"]["rows"] == [{"from": "a", "to": "b", "props": {"since": TEXT}}]
    assert link["props"] == {"since": NOW}


def test_rows_come_in_order_and_the_last_of_a_node_stays_the_last() -> None:
    titles = [("b", "1"), ("a", "2"), ("b", "3")]
    ends = [("b", "a"), ("a", "c"), ("a", "b")]
    links: list[Row] = [{"from": a, "to": b, "props": {}} for a, b in ends]
    found = sent(
        nodes={"Book": [{"id": name, "title": title} for name, title in titles]},
        removed={"Book": ["z", "y"]},
        links={CITES: links},
    )
    rows = [parameters["batch"]["rows"] for _, parameters in found[1:]]
    assert [(row["id"], row["title"]) for row in rows[0]] == [("a", "2"), ("b", "1"), ("b", "3")]
    assert rows[1] == ["y", "z"]
    assert [(row["from"], row["to"]) for row in rows[2]] == sorted(ends)


def test_a_large_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PIECE_ROWS", 2)
    found = sent(nodes={"Book": [{"id": f"b{n}"} for n in range(5)]})
    assert found[0] == (f"{MOVING}{END}", {"batch": {"positions": [POSITION]}})
    assert [len(parameters["batch"]["rows"]) for _, parameters in found[1:]] == [2, 2, 1]
    assert len({statement for statement, _ in found[1:]}) == 1


def test_no_time_of_the_platform_is_left_to_the_driver() -> None:
    history = History().play(OPENING)
    rows = BatchRows()
    list(rows.add(history.state.tenant, history.folded))
    write = rows.write(0, None, (1, 1))
    write.nodes["Tenant"] = [tenant_row(history.state, 1)]
    looked_at = 0
    for statement, parameters in Batches(REGISTRY.entities.values()).pieces(write):
        for row in parameters["batch"].get("rows", ()):
            inside = (row.get("props", {}), row.get("node", {}))
            values = [*row.values(), *(value for its in inside for value in its.values())]
            assert not [v for v in values if isinstance(v, datetime)], statement
            looked_at += len(values)
    assert looked_at > 100


def test_new_events_are_written_with_what_they_are_about() -> None:
    found = sent(
        new_nodes={"Event": [{"id": "2", "at": NOW}, {"id": "1"}], "Book": [{"id": "a"}]},
        new_links={
            ("ABOUT", "Event", "Book"): [
                {"from": "1", "to": "a", "props": {}},
                {"from": "1", "to": "b", "props": {}},
            ],
            # One that was there before, and one of another type.
            ("ABOUT", "Event", "Person"): [{"from": "0", "to": "p", "props": {}}],
            ("CAUSED_BY", "Event", "Event"): [{"from": "2", "to": "1", "props": {}}],
        },
    )
    books, (events, parameters), about, cause = found[1:]
    assert "CREATE (n:Book)" in books[0]
    assert events == (
        "CYPHER replan=skip UNWIND $batch.rows AS row CREATE (n:Event) SET n = row.node"
        " SET n.at = datetime(row.node.at) WITH n, row CALL (n, row)"
        " { UNWIND row.Book AS about MATCH (o:Book {id: about}) CREATE (n)-[:ABOUT]->(o) }"
    )
    assert parameters["batch"]["rows"] == [
        {"node": {"id": "1"}, "Book": ["a", "b"]},
        {"node": {"id": "2", "at": TEXT}},
    ]
    assert "MATCH (b:Person {id: row.to})" in about[0]
    assert "[r:CAUSED_BY]" in cause[0]


def test_events_that_cannot_all_be_new_are_left_to_the_server() -> None:
    found = sent(new_nodes={"Event": [{"id": "1"}, {"id": "1"}]})
    assert len(found[1][1]["batch"]["rows"]) == 2
