"""What every graph promises. An implementation joins by adding its name to `GRAPHS`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    Graph,
    GraphUnreadable,
    GraphWrite,
    LinkKey,
    Position,
    WriteRefused,
    kglite,
    statements,
)
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.graph.kglite import INLINE_ROWS, KgliteGraph
from agent_orchestration.backends.graph.neo4j import Neo4jGraph, batches
from agent_orchestration.backends.graph.read_only import run_read_only
from agent_orchestration.config import Database
from agent_orchestration.core.entities import Entity, Index, Relationship, Row
from agent_orchestration.core.errors import Rejected, Unavailable


class Person(Entity):
    LABEL = "Person"
    RELATIONSHIPS = (Relationship("KNOWS", "knows", to="Person"),)
    INDEXES = (Index("person_age_index", ("tenant", "age")),)

    name: str
    age: int | None = None
    knows: tuple[str, ...] = ()


class Job(Entity):
    LABEL = "Job"
    RELATIONSHIPS = (Relationship("GIVEN_TO", "given_to", to="Person"),)

    title: str
    given_to: tuple[str, ...] = ()


ENTITIES = (Person, Job)
KNOWS: LinkKey = ("KNOWS", "Person", "Person")
GIVEN_TO: LinkKey = ("GIVEN_TO", "Job", "Person")
NOW = datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=UTC)

OpenGraph = Callable[[], Awaitable[Graph]]
#: The embedded graph as it writes very large batches.
#: Batches are written as very large ones are.
IN_PIECES = ("kglite in pieces", "neo4j in pieces")
GRAPHS = ["kglite", "neo4j", *IN_PIECES]


@pytest.fixture(params=GRAPHS)
async def open_graph(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenGraph]:
    """Opens one and the same graph; the one opened before is stopped first, as by a restart."""
    opened: list[Graph] = []
    database: Database | None = None
    if request.param.startswith("neo4j"):
        database = request.getfixturevalue("neo4j_database")
    if request.param in IN_PIECES:
        monkeypatch.setattr(kglite, "LARGE_ROWS", 0)
        monkeypatch.setattr(kglite, "PIECE_ROWS", 2)
        monkeypatch.setattr(batches, "SMALL_ROWS", 0)
        monkeypatch.setattr(batches, "PIECE_ROWS", 100)

    async def open_again() -> Graph:
        if opened:
            await opened.pop().stop()
        if database is not None:
            graph: Graph = Neo4jGraph(database, ENTITIES)
        else:
            graph = KgliteGraph(tmp_path / "data" / "graph.kgl", ENTITIES)
        await graph.start()
        opened.append(graph)
        return graph

    yield open_again
    for graph in opened:
        await graph.stop()


@pytest.fixture
async def graph(open_graph: OpenGraph) -> Graph:
    return await open_graph()


async def put(graph: Graph, partition: int = 0, /, **changes: Any) -> Position:
    """Write a batch at the partition's position; answers the new one."""
    held = await graph.position(partition)
    following = (1, held[1] + 1 if held else 0)
    await graph.write(GraphWrite(partition=partition, held=held, next=following, **changes))
    return following


def person(name: str, **properties: Any) -> Row:
    return {"id": name, "tenant": "default", "name": name, **properties}


async def node(graph: Graph, wanted: str, label: str = "Person") -> Row | None:
    [row] = await graph.query(statements.whole_nodes(label), {"ids": [wanted]})
    assert len(row["nodes"]) <= 1
    return row["nodes"][0] if row["nodes"] else None


async def links(graph: Graph) -> list[tuple[str, str, str, Row]]:
    rows = await graph.query(
        "MATCH (a)-[r]->(b) RETURN a.id AS a, b.id AS b, type(r) AS type, r AS r ORDER BY a, b", {}
    )
    assert all(row["r"].pop("_type") == row["type"] for row in rows)
    return [(row["a"], row["type"], row["b"], row["r"]) for row in rows]


# nodes and their properties


VALUES: dict[str, Any] = {
    "text": "hello",
    "empty text": "",
    "spaces": "  lead and trail \t\n",
    "looks like a number": "007",
    "looks like a date": "2024-02-29",
    "NUL": "a\x00b",
    "line separators": "a\u2028b\u2029c\r\nd",
    "beyond the basic plane": "h\u00e9llo \U0001f600 e\u0301 \u202e",
    "60 KB": "\u00e9" * 30_000,
    "largest integer": 2**63 - 1,
    "smallest integer": -(2**63),
    "zero": 0,
    "true": True,
    "false": False,
    "float": 0.1 + 0.2,
    "whole float": 1.0,
    "negative zero": -0.0,
    "large float": 1.7e308,
    "small float": 5e-324,
    "time": NOW,
    "early time": datetime(1, 1, 1, tzinfo=UTC),
    "late time": datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    "empty list": [],
    "list of text": ["a", "", "a"],
    "list of integers": [3, -1, 2**62],
    "list of floats": [1.0, 0.5],
    "list of booleans": [True, False],
}


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_comes_back_as_it_was(open_graph: OpenGraph, name: str) -> None:
    value = VALUES[name]
    graph = await open_graph()
    await put(
        graph,
        nodes={"Person": [person("ada", value=value)]},
        new_nodes={"Person": [person("bob", value=value)]},
    )
    for _ in range(2):
        for one in ("ada", "bob"):
            found: Any = await node(graph, one)
            assert found == {"_labels": ["Person"], **person(one, value=value)}
            stored = repr(found["value"])
            assert stored == repr(value).replace("datetime.UTC", "datetime.timezone.utc")
        rows = await graph.query(
            "MATCH (n:Person) WHERE n.value = $v RETURN n.id AS id ORDER BY id", {"v": value}
        )
        assert rows == [{"id": "ada"}, {"id": "bob"}]
        graph = await open_graph()


async def test_a_time_in_another_zone_is_the_same_instant(graph: Graph) -> None:
    await put(graph, nodes={"Person": [person("ada", at=NOW)]})
    for wanted in (NOW, NOW.astimezone(datetime.now().astimezone().tzinfo)):
        rows = await graph.query(
            "MATCH (n:Person) WHERE n.at = $at RETURN n.at AS at", {"at": wanted}
        )
        assert rows == [{"at": NOW}]
    later = NOW + timedelta(milliseconds=1)
    assert await graph.query("MATCH (n) WHERE n.at >= $at RETURN n.id AS id", {"at": later}) == []


async def test_a_row_replaces_all_properties_of_its_node(graph: Graph) -> None:
    await put(graph, nodes={"Person": [person("ada", age=36, labels=["a=b"], at=NOW)]})
    await put(graph, nodes={"Person": [person("ada", age="old", extra=None)]})
    assert await node(graph, "ada") == {"_labels": ["Person"], **person("ada", age="old")}
    assert await graph.query("MATCH (n) WHERE n.labels IS NOT NULL RETURN n.id AS id", {}) == []


async def test_new_nodes_have_the_properties_of_their_rows_alone(graph: Graph) -> None:
    rows = [person("ada", age=36, at=NOW), person("bob", age=None), person("eve", labels=[])]
    await put(graph, new_nodes={"Person": rows})
    kept = [rows[0], person("bob"), rows[2]]
    for row in kept:
        assert await node(graph, row["id"]) == {"_labels": ["Person"], **row}
    asked = "MATCH (n:Person) WHERE n.age IS NOT NULL RETURN n.id AS id"
    assert await graph.query(asked, {}) == [{"id": "ada"}]
    await put(graph, nodes={"Person": [person("ada")]})
    assert await node(graph, "ada") == {"_labels": ["Person"], **person("ada")}


async def test_the_last_row_of_a_node_wins_within_a_batch(graph: Graph) -> None:
    await put(graph, nodes={"Person": [person("ada", age=n) for n in range(5)]})
    assert await node(graph, "ada") == {"_labels": ["Person"], **person("ada", age=4)}


async def test_properties_that_nobody_stored_are_not_there(graph: Graph) -> None:
    await put(
        graph,
        nodes={
            "Person": [person("ada")],
            "Job": [{"id": "job", "tenant": "default", "title": "job"}],
            "Event": [{"id": "1", "tenant": "default", "seq": 1, "type": "Event"}],
            "Tenant": [{"id": "default", "tenant": "default"}],
        },
    )
    assert await node(graph, "ada") == {"_labels": ["Person"], **person("ada")}
    assert await node(graph, "job", "Job") == {
        "_labels": ["Job"],
        "id": "job",
        "tenant": "default",
        "title": "job",
    }
    assert await node(graph, "1", "Event") == {
        "_labels": ["Event"],
        "id": "1",
        "tenant": "default",
        "seq": 1,
        "type": "Event",
    }
    assert await node(graph, "default", "Tenant") == {
        "_labels": ["Tenant"],
        "id": "default",
        "tenant": "default",
    }


@pytest.mark.parametrize("title", ["job", "Job_job", "Job", ""])
async def test_a_map_of_all_properties_lacks_none(graph: Graph, title: str) -> None:
    await put(graph, nodes={"Job": [{"id": "job", "tenant": "default", "title": title}]})
    for statement in (
        "MATCH (n:Job) RETURN properties(n) AS p",
        "MATCH (n:Job) RETURN n {.*} AS p",
    ):
        [row] = await graph.query(statement, {})
        assert row["p"].items() >= {"id": "job", "tenant": "default", "title": title}.items()


async def test_the_same_id_under_two_labels_is_two_nodes(graph: Graph) -> None:
    job = {"id": "x", "tenant": "default", "title": "x"}
    await put(graph, nodes={"Person": [person("x")], "Job": [job]})
    await put(graph, removed={"Person": ["x"]})
    assert await node(graph, "x") is None
    assert await node(graph, "x", "Job") == {"_labels": ["Job"], **job}


async def test_a_removed_node_takes_its_relationships_along(graph: Graph) -> None:
    await put(
        graph,
        nodes={"Person": [person("ada"), person("bob")]},
        links={KNOWS: [{"from": "ada", "to": "bob", "props": {}}]},
    )
    await put(graph, removed={"Person": ["bob", "nobody"]})
    assert await links(graph) == []
    assert await node(graph, "ada") is not None
    await put(graph, nodes={"Person": [person("bob", age=1)]})
    assert await node(graph, "bob") == {"_labels": ["Person"], **person("bob", age=1)}


# relationships


async def test_a_link_replaces_all_properties_of_its_relationship(graph: Graph) -> None:
    people = [person("ada"), person("bob")]
    first = {"level": 0.5, "since": NOW, "type": "friend", "name": "n", "id": "i"}
    await put(
        graph,
        nodes={"Person": people},
        links={KNOWS: [{"from": "ada", "to": "bob", "props": first}]},
    )
    assert await links(graph) == [("ada", "KNOWS", "bob", first)]
    await put(graph, links={KNOWS: [{"from": "ada", "to": "bob", "props": {"level": 1}}]})
    assert await links(graph) == [("ada", "KNOWS", "bob", {"level": 1})]


async def test_links_have_a_direction_and_may_lead_back(graph: Graph) -> None:
    pairs = [("ada", "bob"), ("bob", "ada"), ("ada", "ada")]
    await put(
        graph,
        nodes={"Person": [person("ada"), person("bob")]},
        links={KNOWS: [{"from": a, "to": b, "props": {"to": b}} for a, b in pairs]},
    )
    assert await links(graph) == [(a, "KNOWS", b, {"to": b}) for a, b in sorted(pairs)]
    await put(graph, unlinks={KNOWS: [{"from": "ada", "to": "bob"}]})
    assert [(a, b) for a, _, b, _ in await links(graph)] == [("ada", "ada"), ("bob", "ada")]


async def test_a_link_to_a_missing_node_is_not_made_and_the_others_are(graph: Graph) -> None:
    ends = [("ada", "nobody"), ("nobody", "ada"), ("ada", "bob")]
    await put(
        graph,
        nodes={"Person": [person("ada"), person("bob")]},
        links={KNOWS: [{"from": a, "to": b, "props": {}} for a, b in ends]},
    )
    assert await links(graph) == [("ada", "KNOWS", "bob", {})]
    assert await graph.query("MATCH (n:Person) RETURN count(n) AS n", {}) == [{"n": 2}]


async def test_what_a_batch_does_not_find_stops_nothing_after_it(graph: Graph) -> None:
    await put(graph, nodes={"Person": [person("ada")]})
    following = await put(
        graph,
        removed={"Job": ["nothing"], "Person": ["nobody"]},
        unlinks={KNOWS: [{"from": "ada", "to": "nobody"}], GIVEN_TO: []},
        links={
            GIVEN_TO: [{"from": "nothing", "to": "ada", "props": {}}],
            KNOWS: [{"from": "ada", "to": "ada", "props": {}}],
        },
    )
    assert await links(graph) == [("ada", "KNOWS", "ada", {})]
    assert await graph.position(0) == following


async def test_unlinking_comes_before_linking(graph: Graph) -> None:
    await put(graph, nodes={"Person": [person("ada")]})
    await put(
        graph,
        unlinks={KNOWS: [{"from": "ada", "to": "ada"}]},
        links={KNOWS: [{"from": "ada", "to": "ada", "props": {"x": 1}}]},
    )
    assert await links(graph) == [("ada", "KNOWS", "ada", {"x": 1})]


async def test_links_that_cannot_exist_yet_are_made_like_others(graph: Graph) -> None:
    await put(
        graph,
        nodes={"Person": [person("ada"), person("bob")]},
        new_links={
            KNOWS: [
                {"from": a, "to": b, "props": {"to": b}}
                for a, b in (("ada", "bob"), ("bob", "bob"), ("ada", "nobody"), ("nobody", "ada"))
            ]
        },
    )
    assert await links(graph) == [
        ("ada", "KNOWS", "bob", {"to": "bob"}),
        ("bob", "KNOWS", "bob", {"to": "bob"}),
    ]
    await put(graph, links={KNOWS: [{"from": "ada", "to": "bob", "props": {"level": 1}}]})
    assert ("ada", "KNOWS", "bob", {"level": 1}) in await links(graph)


async def test_links_are_removed_from_either_end(graph: Graph) -> None:
    names = ["ada", "bob", "cat"]
    pairs = [(a, b) for a in names for b in names]
    await put(
        graph,
        nodes={"Person": [person(name) for name in names]},
        new_links={KNOWS: [{"from": a, "to": b, "props": {}} for a, b in pairs]},
    )
    gone = [("ada", "bob"), ("bob", "bob"), ("cat", "nobody"), ("nobody", "cat")]
    await put(graph, unlinks_at_end={KNOWS: [{"from": a, "to": b} for a, b in gone]})
    left = [pair for pair in pairs if pair not in gone]
    assert [(a, b) for a, _, b, _ in await links(graph)] == left


async def test_a_node_with_very_many_links_is_linked_and_unlinked_in_time(graph: Graph) -> None:
    """Each takes as long as the first; looking at all the others would take minutes."""
    many = 20_000
    people = [person("ada"), *(person(f"p{n}") for n in range(many))]
    rows: list[Row] = [{"from": "ada", "to": f"p{n}", "props": {}} for n in range(many)]
    async with asyncio.timeout(20):
        await put(graph, nodes={"Person": people}, new_links={KNOWS: rows})
        count = "MATCH (:Person {id: 'ada'})-[r:KNOWS]->(:Person) RETURN count(r) AS n"
        assert await graph.query(count, {}) == [{"n": many}]
        await put(graph, unlinks_at_end={KNOWS: rows})
        assert await graph.query(count, {}) == [{"n": 0}]


# transactions and positions


async def test_a_position_is_there_once_written_and_for_its_partition_only(graph: Graph) -> None:
    assert await graph.position(0) is None
    await graph.write(GraphWrite(partition=0, held=None, next=(1, 0)))
    await graph.write(GraphWrite(partition=0, held=(1, 0), next=(2, 2**62)))
    assert await graph.position(0) == (2, 2**62)
    assert await graph.position(1) is None


async def test_the_position_of_the_feeds_stays_until_another_one_is_stored(
    open_graph: OpenGraph,
) -> None:
    graph = await open_graph()
    assert await graph.published(0) is None
    await put(graph)
    assert await graph.published(0) is None
    await put(graph, published=(1, 2**62))
    for _ in range(2):
        await put(graph)
        assert await graph.published(0) == (1, 2**62)
        assert await graph.published(1) is None
        graph = await open_graph()
    held = await graph.position(0)
    with pytest.raises(CheckpointMoved):
        await graph.write(GraphWrite(partition=0, held=None, next=(1, 9), published=(1, 3)))
    assert held is not None
    await graph.write(GraphWrite(partition=0, held=held, next=held, published=(2, 0)))
    assert (await graph.position(0), await graph.published(0)) == (held, (2, 0))


@pytest.mark.parametrize("held", [None, (1, 4), (2, 5), (0, 5), (1, 6)])
async def test_who_believes_in_another_position_writes_nothing(
    graph: Graph, held: Position | None
) -> None:
    await graph.write(GraphWrite(partition=0, held=None, next=(1, 5)))
    nodes = {"Person": [person("ada")]}
    with pytest.raises(CheckpointMoved):
        await graph.write(GraphWrite(partition=0, held=held, next=(1, 9), nodes=nodes))
    assert await graph.position(0) == (1, 5)
    assert await node(graph, "ada") is None


async def test_who_believes_in_a_position_where_there_is_none_writes_nothing(graph: Graph) -> None:
    with pytest.raises(CheckpointMoved):
        await graph.write(GraphWrite(partition=0, held=(1, 0), next=(1, 1)))
    assert await graph.position(0) is None


@pytest.mark.parametrize("rows", [1, 3 * INLINE_ROWS])
async def test_of_two_racing_writers_one_wins_each_round(graph: Graph, rows: int) -> None:
    async def write(writer: str, held: Position | None, offset: int) -> str | None:
        nodes = {"Person": [person(f"{offset}-{n}", writer=writer) for n in range(rows)]}
        try:
            await graph.write(GraphWrite(partition=0, held=held, next=(1, offset), nodes=nodes))
        except CheckpointMoved:
            return None
        return writer

    held = None
    for offset in range(20):
        outcomes = await asyncio.gather(write("a", held, offset), write("b", held, offset))
        [winner] = [one for one in outcomes if one is not None]
        found = await graph.query(
            "MATCH (n:Person) WHERE n.id STARTS WITH $start"
            " RETURN DISTINCT n.writer AS writer, count(n) AS rows",
            {"start": f"{offset}-"},
        )
        assert found == [{"writer": winner, "rows": rows}]
        held = (1, offset)
    assert await graph.position(0) == held


async def test_partitions_and_tenants_do_not_hinder_each_other(graph: Graph) -> None:
    async def fill(partition: int) -> None:
        for number in range(10):
            rows = [
                {**person(f"{tenant}/{partition}-{number}"), "tenant": tenant}
                for tenant in ("one", "two", "three")
            ]
            await put(graph, partition, nodes={"Person": rows})

    await asyncio.gather(*(fill(partition) for partition in range(4)))
    assert [await graph.position(partition) for partition in range(4)] == [(1, 9)] * 4
    rows = await graph.query(
        "MATCH (n:Person) RETURN n.tenant AS tenant, count(n) AS n ORDER BY tenant", {}
    )
    assert rows == [{"tenant": tenant, "n": 40} for tenant in ("one", "three", "two")]


async def test_of_writes_that_come_together_each_has_its_own_outcome(graph: Graph) -> None:
    def write(partition: int, held: Position | None, **more: Any) -> GraphWrite:
        nodes = {"Person": [person(f"of-{partition}", **more)]}
        return GraphWrite(partition=partition, held=held, next=(1, 2), nodes=nodes)

    for partition in range(6):
        await put(graph, partition, nodes={})
    held = await graph.position(0)
    moved, poisoned, new = write(2, (1, 77)), write(4, held, age=2**63), write(6, None)
    others = [write(partition, held) for partition in (0, 1, 3, 5)]
    writes = [others[0], others[1], moved, others[2], poisoned, others[3], new]
    found = await asyncio.gather(*map(graph.write, writes), return_exceptions=True)
    kinds = [type(one) for one in found if one is not None]
    assert kinds == [CheckpointMoved, WriteRefused]
    rows = await graph.query("MATCH (n:Person) RETURN n.id AS id ORDER BY id", {})
    assert [row["id"] for row in rows] == [f"of-{partition}" for partition in (0, 1, 3, 5, 6)]
    stored = [await graph.position(partition) for partition in range(7)]
    assert stored == [(1, 2), (1, 2), held, (1, 2), held, (1, 2), (1, 2)]


POISON: dict[str, dict[str, Any]] = {
    "an integer beyond 64 bits": {"nodes": {"Job": [{"id": "j", "title": "j", "x": 2**63}]}},
    "a lone surrogate": {"nodes": {"Job": [{"id": "j", "title": "\ud800"}]}},
    "no id": {"nodes": {"Job": [{"title": "j"}]}},
    "a null id": {"nodes": {"Job": [{"id": "ok", "title": "j"}, {"id": None, "title": "j"}]}},
    "an integer in a new node": {"new_nodes": {"Job": [{"id": "j", "title": "j", "x": 2**63}]}},
    "a new node that is there": {
        "new_nodes": {"Job": [{"id": "j", "title": "j"}], "Person": [person("ada", age=3)]}
    },
    "a new node twice": {"new_nodes": {"Job": [{"id": "j", "title": "j"}] * 2}},
    "an integer in a link": {
        "links": {KNOWS: [{"from": "new", "to": "new", "props": {"x": 2**64}}]}
    },
    "an undeclared label": {"nodes": {"Nobody": [{"id": "x"}]}},
    "an undeclared type": {"links": {("MADE_UP", "Person", "Person"): []}},
}


@pytest.mark.parametrize("name", POISON)
async def test_a_refused_row_leaves_nothing_of_its_batch(graph: Graph, name: str) -> None:
    await assert_refused(graph, POISON[name])


async def assert_refused(graph: Graph, poison: dict[str, Any]) -> None:
    before = await put(graph, nodes={"Person": [person("ada", age=1)]})
    nodes = {"Person": [person("ada", age=2), person("new")], **poison.get("nodes", {})}
    with pytest.raises(WriteRefused) as refused:
        await put(graph, **{**poison, "nodes": nodes})
    assert refused.value.reason
    assert await graph.position(0) == before
    assert await node(graph, "ada") == {"_labels": ["Person"], **person("ada", age=1)}
    assert await graph.query("MATCH (n:Job) RETURN n.id AS id", {}) == []
    assert await node(graph, "new") is None
    assert await put(graph, nodes={"Person": [person("new")]}) == (1, 1)


async def test_readers_see_what_was_there_or_later_batches(graph: Graph) -> None:
    """The embedded graph: one batch as a whole. Neo4j reads what is committed when it comes there,
    so that one statement may see parts of two batches, but nothing older than when it began."""
    whole = isinstance(graph, KgliteGraph)
    question = (
        "MATCH (a:Person {id: 'first'}) MATCH (b:Job {id: 'last'})"
        " MATCH (c:Checkpoint {id: 'events/0'}) RETURN a.age AS a, b.size AS b, c.offset AS c"
    )
    done = False
    seen: set[int] = set()

    async def read() -> None:
        while not done:
            _, before = await graph.position(0) or (0, 0)
            for row in await graph.query(question, {}):
                assert before <= min(row.values())
                assert not whole or len({*row.values()}) == 1
                seen.update(row.values())
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for number in range(60):
        filling = [person(f"{number}-{n}", age=n) for n in range(1 if number % 2 else 300)]
        await put(
            graph,
            nodes={
                "Person": [person("first", age=number), *filling],
                "Job": [{"id": "last", "title": "last", "size": number}],
            },
            links={GIVEN_TO: [{"from": "last", "to": "first", "props": {"n": number}}]},
        )
    done = True
    await asyncio.gather(*readers)
    assert len(seen) > 10


async def test_a_cancelled_write_is_there_whole_or_not_at_all(graph: Graph) -> None:
    for number in range(10):
        held = await graph.position(0)
        following = (1, held[1] + 1 if held else 0)
        rows = [person(f"{number}-{n}") for n in range(500)]
        write = GraphWrite(partition=0, held=held, next=following, nodes={"Person": rows})
        task = asyncio.create_task(graph.write(write))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        [row] = await graph.query(
            "MATCH (n:Person) WHERE n.id STARTS WITH $start RETURN count(n) AS n",
            {"start": f"{number}-"},
        )
        written = await graph.position(0) == following
        assert row["n"] == (500 if written else 0)


# questions


async def test_nodes_relationships_and_paths_are_plain_maps(graph: Graph) -> None:
    await put(
        graph,
        nodes={"Person": [person("ada"), person("bob")]},
        links={KNOWS: [{"from": "ada", "to": "bob", "props": {"level": 1}}]},
    )
    ada, bob = ({"_labels": ["Person"], **person(name)} for name in ("ada", "bob"))
    knows = {"_type": "KNOWS", "level": 1}
    [row] = await graph.query(
        "MATCH p = (a:Person)-[r:KNOWS]->(b) RETURN a AS a, r AS r, p AS p, [a, [b]] AS list,"
        " {b: b, r: r} AS map, nodes(p) AS nodes, relationships(p) AS links, collect(b) AS all",
        {},
    )
    assert row == {
        "a": ada,
        "r": knows,
        "p": {"nodes": [ada, bob], "relationships": [knows]},
        "list": [ada, [bob]],
        "map": {"b": bob, "r": knows},
        "nodes": [ada, bob],
        "links": [knows],
        "all": [bob],
    }


async def test_an_answer_has_no_more_rows_than_asked_for(graph: Graph) -> None:
    numbers = "UNWIND range(1, 100) AS n RETURN n AS n ORDER BY n DESC"
    assert await graph.query(numbers, {}, limit=3) == [{"n": 100}, {"n": 99}, {"n": 98}]
    assert len(await graph.query(numbers, {})) == 100
    assert await graph.query(numbers + " LIMIT 2", {}, limit=3) == [{"n": 100}, {"n": 99}]
    assert await graph.query(numbers, {}, limit=0) == []


FOREVER = (
    "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b"
    " WITH a, b WHERE a * b = -1 RETURN count(*) AS n"
)


async def test_a_question_ends_at_its_deadline_and_the_loop_goes_on(graph: Graph) -> None:
    asked = asyncio.create_task(graph.query(FOREVER, {}, seconds=3))
    meanwhile = 0
    while not asked.done():
        assert await graph.query("RETURN 1 AS one", {}) == [{"one": 1}]
        await put(graph, nodes={"Person": [person("ada")]})
        meanwhile += not asked.done()
    assert meanwhile > 0
    with pytest.raises(Rejected):
        await asked


async def test_a_quick_question_that_becomes_slow_still_answers(graph: Graph) -> None:
    statement = "UNWIND range(1, $n) AS a WITH a WHERE a % 7 = 0 RETURN count(a) AS n"
    for _ in range(3):
        assert await graph.query(statement, {"n": 7}) == [{"n": 1}]
    assert await graph.query(statement, {"n": 700_000}) == [{"n": 100_000}]
    assert await graph.query(statement, {"n": 7}) == [{"n": 1}]


WRITES = [
    "CREATE (n:Person {id: 'x'})",
    "MATCH (n:Person) SET n.age = 7",
    "MATCH (n:Person) DETACH DELETE n",
    "MATCH (n:Person) REMOVE n.name RETURN n",
    "MERGE (n:Person {id: 'x'}) RETURN n",
    "MATCH (n) FOREACH (x IN [1] | SET n.age = x)",
    "CREATE INDEX x FOR (n:Person) ON (n.x)",
    "DROP CONSTRAINT person_id",
    "EXPLAIN CREATE (n:Person {id: 'x'})",
    "PROFILE MATCH (n:Person) SET n.age = 7",
    "RETURN 1 AS x; CREATE (:Person {id: 'x'})",
    "CREATE (:Person {id: 'x'}); RETURN 1 AS x",
    "UNWIND [1] AS x MERGE (n:Person {id: 'x'}) RETURN n.id AS id",
]


@pytest.mark.parametrize("statement", WRITES)
async def test_a_question_cannot_write(graph: Graph, statement: str) -> None:
    await put(graph, nodes={"Person": [person("ada", age=1)]})
    with pytest.raises(Rejected):
        await graph.query(statement, {})
    with pytest.raises(Rejected):
        await run_read_only(graph, statement, {})
    rows = await graph.query("MATCH (n:Person) RETURN n AS n", {})
    assert rows == [{"n": {"_labels": ["Person"], **person("ada", age=1)}}]


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("secret", {}),
        ("RETURN secret AS x", {}),
        ("RETURN 1 / 0 AS x", {}),
        ("RETURN $secret AS x", {}),
        ("RETURN secret(1) AS x", {}),
        ("RETURN $x AS x", {"x": 2**63}),
        ("RETURN $x AS x", {"x": "\ud800"}),
        ("RETURN $x AS x", {"x": object()}),
    ],
)
async def test_a_question_that_fails_is_rejected_without_its_text(
    graph: Graph, statement: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as rejected:
        await graph.query(statement, parameters)
    assert "secret" not in str(rejected.value.to_dict())


READS = [
    "MATCH (n:Person) RETURN n",
    "MATCH (n:Person {id: 'ada'}) RETURN n.name AS name",
    "MATCH (n:Person) WHERE n.age > 1 RETURN n.id AS id ORDER BY id DESC SKIP 1 LIMIT 2",
    "MATCH (n) RETURN count(n) AS n",
    "MATCH (n) RETURN labels(n) AS label, count(*) AS n",
    "MATCH ()-[r]->() RETURN type(r) AS type, count(*) AS n",
    "MATCH ()-[r:KNOWS]->() RETURN count(r) AS n",
    "MATCH (n:Person) RETURN n.age AS age, count(*) AS n ORDER BY n DESC LIMIT 3",
    "MATCH (a:Person)-[:KNOWS]->(b) RETURN a.id AS id, count(b) AS n ORDER BY n DESC LIMIT 3",
    "MATCH (a:Person)-[:KNOWS]->(b)<-[:KNOWS]-(c) RETURN count(DISTINCT c) AS n",
    "MATCH (a:Person) OPTIONAL MATCH (a)-[:KNOWS]->(b) RETURN a.id AS id, count(b) AS n",
    "MATCH (a:Person) WITH a, COUNT { (a)-[:KNOWS]->() } AS n WHERE n > 0 RETURN n AS n",
    "MATCH (a:Person) WHERE EXISTS { (a)-[:KNOWS]->() } RETURN a.id AS id",
    "MATCH p = (a:Person {id: $id})-[:KNOWS*1..5]->(b:Person) RETURN length(p) AS n, p AS p",
    "MATCH (a:Person) CALL (a) { MATCH (a)-[:KNOWS]->(b) RETURN count(b) AS n } RETURN n AS n",
    "UNWIND $ids AS id MATCH (n:Person {id: id}) RETURN n.id AS id",
    "MATCH (n:Person) RETURN n.id AS id UNION MATCH (n:Job) RETURN n.id AS id",
    "MATCH (n:Person) RETURN [(n)-[r:KNOWS]->(m) | {id: m.id, level: r.level}] AS l",
]


@pytest.mark.parametrize("statement", READS)
async def test_a_callers_question_is_answered(graph: Graph, statement: str) -> None:
    await put(
        graph,
        nodes={"Person": [person("ada", age=2, at=NOW), person("bob", age=3)]},
        links={KNOWS: [{"from": "ada", "to": "bob", "props": {"level": 1}}]},
    )
    parameters = {"id": "ada", "ids": ["ada"]}
    assert await graph.explain_is_read(statement, parameters)
    answered = await run_read_only(graph, f"{statement} // a question;\n;", parameters)
    assert len(answered) == len(await graph.query(statement, parameters))


async def test_a_plan_that_reads_files_or_writes_is_told(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret\n", "utf-8")
    for statement in (
        f"LOAD CSV FROM 'file://{tmp_path}/secret.csv' AS line RETURN line AS line",
        "CALL db.labels() YIELD label RETURN label AS label",
        "CREATE (n:Person {id: 'x'})",
        "SHOW INDEXES",
    ):
        assert not await graph.explain_is_read(statement, {})
        with pytest.raises(Rejected):
            await run_read_only(graph, statement, {})


# opening, closing, starting again


async def test_a_restart_finds_everything(open_graph: OpenGraph) -> None:
    graph = await open_graph()
    people = [person(f"p{n}", age=n, at=NOW, tags=["a", "b"]) for n in range(200)]
    following = await put(
        graph,
        nodes={"Person": people},
        links={
            KNOWS: [{"from": f"p{n}", "to": f"p{n + 1}", "props": {"n": n}} for n in range(199)]
        },
    )
    before = await fingerprint(graph, ENTITIES)
    for _ in range(2):
        graph = await open_graph()
        assert await graph.position(0) == following
        assert await fingerprint(graph, ENTITIES) == before
    assert await put(graph, nodes={"Person": [person("p0")]}) == (1, 1)


async def test_a_closed_graph_is_unavailable(graph: Graph) -> None:
    await graph.stop()
    await graph.stop()
    for call in (
        graph.position(0),
        graph.query("RETURN 1 AS x", {}),
        graph.write(GraphWrite(partition=0, held=None, next=(1, 0))),
    ):
        with pytest.raises(Unavailable):
            await call
    await graph.start()
    assert await graph.position(0) is None


# fingerprints


async def test_equal_graphs_have_equal_fingerprints_however_they_came_about(tmp_path: Path) -> None:
    people = [person(f"p{n}", age=n, share=n / 3, at=NOW, tags=["x"]) for n in range(30)]
    known = [
        {"from": f"p{n}", "to": f"p{m}", "props": {"n": n}} for n in range(5) for m in range(5)
    ]
    found: set[str] = set()
    for number, step in enumerate((1, 7, 30)):
        graph = KgliteGraph(tmp_path / str(number) / "graph.kgl", ENTITIES)
        await graph.start()
        if step != 30:
            await put(graph, nodes={"Person": [person("gone"), *reversed(people)]})
            await put(graph, number, removed={"Person": ["gone"]})
        for start in range(0, 30, step):
            await put(graph, nodes={"Person": people[start : start + step]})
        await put(graph, links={KNOWS: known[::-1] if number else known})
        found.add(await fingerprint(graph, ENTITIES))
        await graph.stop()
    assert len(found) == 1
    assert len(found.pop()) == 64


async def test_any_difference_changes_the_fingerprint(graph: Graph) -> None:
    rows = [person("ada", x=1), person("bob")]
    known = {KNOWS: [{"from": "ada", "to": "bob", "props": {"n": 1}}]}
    await put(graph, nodes={"Person": rows}, links=known)
    found = [await fingerprint(graph, ENTITIES)]
    changed: list[dict[str, Any]] = [
        {"nodes": {"Person": [person("ada", x=1.0)]}},
        {"nodes": {"Person": [person("ada", x="1")]}},
        {"nodes": {"Person": [person("ada", x=[1])]}},
        {"nodes": {"Person": [person("ada")]}},
        {"nodes": {"Job": [{"id": "j", "title": "j"}]}},
        {"nodes": {"Event": [{"id": "1", "type": "T"}]}},
        {"links": {KNOWS: [{"from": "ada", "to": "bob", "props": {"n": 2}}]}},
        {"links": {KNOWS: [{"from": "bob", "to": "ada", "props": {"n": 2}}]}},
        {"links": {("ABOUT", "Event", "Job"): [{"from": "1", "to": "j", "props": {}}]}},
        {"unlinks": {KNOWS: [{"from": "ada", "to": "bob"}]}},
    ]
    for changes in changed:
        await put(graph, **changes)
        found.append(await fingerprint(graph, ENTITIES))
    assert len(set(found)) == len(found)
    await graph.write(GraphWrite(partition=9, held=None, next=(1, 0)))
    assert await fingerprint(graph, ENTITIES) == found[-1]


# kglite alone: its file


async def opened(path: Path) -> KgliteGraph:
    graph = KgliteGraph(path, ENTITIES)
    await graph.start()
    return graph


@pytest.mark.parametrize("row", [{"id": "x", "label": "x"}, {"id": "j", "x": b"x"}])
async def test_a_row_that_this_engine_cannot_hold_is_refused(tmp_path: Path, row: Row) -> None:
    graph = await opened(tmp_path / "graph.kgl")
    await assert_refused(graph, {"nodes": {"Job": [row]}})
    await graph.stop()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("graph.kgl", b""),
        ("graph.kgl", b"garbage" * 100),
        ("graph.kgl", b"RGF" + b"\x00" * 500),
        ("graph.kgl-wal", b"garbage" * 100),
    ],
)
async def test_a_file_that_is_no_graph_is_unreadable(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GraphUnreadable):
        await opened(tmp_path / "graph.kgl")
    (tmp_path / name).unlink()
    await (await opened(tmp_path / "graph.kgl")).stop()


async def test_a_graph_with_a_broken_byte_or_end_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "graph.kgl"
    graph = await opened(path)
    await put(graph, nodes={"Person": [person(f"p{n}", age=n) for n in range(1000)]})
    await graph.stop()
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    for broken in (content[:middle], content[:-1], flipped):
        path.write_bytes(broken)
        with pytest.raises(GraphUnreadable):
            await opened(path)
    path.write_bytes(content)
    graph = await opened(path)
    assert await graph.position(0) == (1, 0)
    await graph.stop()


async def test_a_file_has_one_owner(tmp_path: Path) -> None:
    graph = await opened(tmp_path / "graph.kgl")
    with pytest.raises(Unavailable, match=f"open in process {os.getpid()}"):
        await opened(tmp_path / "graph.kgl")
    await graph.stop()
    await (await opened(tmp_path / "graph.kgl")).stop()


WRITER = """
import asyncio, pathlib, sys
from agent_orchestration.backends.graph import GraphWrite
from tests.contracts.test_graph import KNOWS, opened, person

async def main():
    graph = await opened(pathlib.Path(sys.argv[1]))
    held = None
    for number in range(1_000_000):
        rows = [person(f"{number}-{n}", age=number) for n in range(1 + number % 50)]
        known = [{"from": rows[0]["id"], "to": row["id"], "props": {"n": number}} for row in rows]
        following = (1, number)
        await graph.write(GraphWrite(
            partition=0, held=held, next=following, nodes={"Person": rows}, links={KNOWS: known}
        ))
        held = following
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.parametrize("acknowledged", [1, 200])
async def test_a_killed_process_loses_nothing_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "graph.kgl"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    lines = [await child.stdout.readline() for _ in range(acknowledged)]
    child.kill()
    lines += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    told = int([line for line in lines if line.endswith(b"\n")][-1])
    graph = await opened(path)
    position = await graph.position(0)
    assert position is not None
    assert position[1] >= told
    rows = await graph.query(
        "MATCH (n:Person) RETURN n.age AS number, count(n) AS n ORDER BY number", {}
    )
    batches = range(position[1] + 1)
    assert rows == [{"number": number, "n": 1 + number % 50} for number in batches]
    assert len(await links(graph)) == sum(1 + number % 50 for number in batches)
    await graph.stop()
