"""What the graph on Neo4j promises beyond what every graph does: servers, logins, interruptions."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from neo4j import AsyncGraphDatabase, AsyncSession
from pydantic import SecretStr

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphWrite,
    LinkKey,
    Position,
    statements,
)
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.backends.graph.neo4j import graph as module
from agent_orchestration.backends.graph.neo4j.batches import Batches
from agent_orchestration.config import Database
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Rejected, Unavailable
from tests.contracts.test_graph import (
    ENTITIES,
    FOREVER,
    GIVEN_TO,
    KNOWS,
    NOW,
    assert_refused,
    node,
    person,
    put,
)
from tests.services.neo4j import JarServer, version
from tests.services.run import needed

Answer = TypeVar("Answer")


@asynccontextmanager
async def opened(database: Database, **changes: Any) -> AsyncGenerator[Neo4jGraph]:
    graph = Neo4jGraph(database.model_copy(update=changes), ENTITIES)
    await graph.start()
    try:
        yield graph
    finally:
        await graph.stop()


@pytest.fixture
async def graph(neo4j_database: Database) -> AsyncIterator[Neo4jGraph]:
    async with opened(neo4j_database) as graph:
        yield graph


@pytest.fixture
async def other(neo4j_database: Database) -> AsyncIterator[AsyncSession]:
    """What somebody else does with the same database."""
    settings = neo4j_database
    assert settings.password is not None
    auth = (settings.username, settings.password.get_secret_value())
    driver = AsyncGraphDatabase.driver(settings.uri, auth=auth)  # pyright: ignore[reportUnknownMemberType]
    async with driver, driver.session() as session:  # pyright: ignore[reportUnknownMemberType]
        yield session


async def ask(session: AsyncSession, statement: str, **parameters: Any) -> list[Row]:
    result = await session.run(cast("Any", statement), parameters)
    return [dict(record) async for record in result]


# servers and logins


async def test_a_server_may_be_reached_by_either_scheme(neo4j_database: Database) -> None:
    _, _, host = neo4j_database.uri.partition("://")
    for scheme in ("bolt", "neo4j"):
        async with opened(neo4j_database, uri=f"{scheme}://{host}") as graph:
            held = await graph.position(0)
            following = await put(graph, nodes={"Person": [person(scheme)]})
            assert await graph.position(0) == following != held
            assert await node(graph, scheme) is not None


async def test_a_wrong_password_says_what_to_check(neo4j_database: Database) -> None:
    with pytest.raises(Unavailable, match=r"NEO4J_USERNAME and NEO4J_PASSWORD") as refused:
        async with opened(neo4j_database, password=SecretStr("wrong")):
            pass
    assert refused.value.code == "graph_login_refused"


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
async def test_a_server_that_is_not_there_is_named(scheme: str) -> None:
    uri = f"{scheme}://127.0.0.1:1"
    settings = Database(uri=uri, password=SecretStr("x"))
    with pytest.raises(Unavailable, match=uri):
        async with opened(settings):
            pass


async def test_a_database_that_is_not_there_is_unavailable(neo4j_database: Database) -> None:
    with pytest.raises(Unavailable):
        async with opened(neo4j_database, name="nowhere"):
            pass


async def first_answer(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """A server that was just started may take longer than a question may."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.1)


async def test_a_killed_server_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    with needed("neo4j"):
        server = JarServer(tmp_path / "home", version())
    server.start()
    address = server.address
    settings = Database(
        uri=address.uri, username=address.username, password=SecretStr(address.password)
    )
    graph = Neo4jGraph(settings, ENTITIES)
    await graph.start()
    try:
        held = (0, 0)
        for number in range(50):
            held = await put(graph, nodes={"Person": [person(f"p{number}")]})
        under_way = asyncio.create_task(put(graph, nodes={"Person": [person("late")]}))
        await asyncio.sleep(0)
        server.kill()
        with pytest.raises(Unavailable):
            await under_way
        for call in (graph.position(0), graph.query("RETURN 1 AS x", {}), put(graph)):
            with pytest.raises(Unavailable):
                await call
        server.start()
        position = await first_answer(lambda: graph.position(0))
        assert position is not None
        assert position >= held
        rows = await graph.query("MATCH (n:Person) RETURN count(n) AS n", {})
        assert rows == [{"n": position[1] + 1}]
        await put(graph, nodes={"Person": [person("ada")]})
    finally:
        await graph.stop()
        server.kill()


async def test_more_questions_than_connections_wait_for_their_turn(
    neo4j_database: Database,
) -> None:
    async with opened(neo4j_database, pool_size=2) as graph:
        asked = (graph.query("UNWIND range(1, $n) AS n RETURN n AS n", {"n": n}) for n in range(30))
        assert [len(rows) for rows in await asyncio.gather(*asked)] == list(range(30))


# what is under way


async def until_running(other: AsyncSession, number: int) -> None:
    shown = "SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS text"
    async with asyncio.timeout(20):
        while sum(row["text"] == FOREVER for row in await ask(other, shown)) != number:
            pass


async def test_a_question_that_nobody_waits_for_ends_on_the_server(
    graph: Neo4jGraph, other: AsyncSession
) -> None:
    asked = asyncio.create_task(graph.query(FOREVER, {}, seconds=100))
    await until_running(other, 1)
    asked.cancel()
    await asyncio.wait([asked])
    await until_running(other, 0)
    with pytest.raises(Rejected, match=r"longer than 0\.5 s"):
        await graph.query(FOREVER, {}, seconds=0.5)
    await until_running(other, 0)


async def test_a_write_that_does_not_get_its_lock_in_time_is_unavailable(
    graph: Neo4jGraph, other: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await put(graph, nodes={"Person": [person("ada")]})
    transaction = await other.begin_transaction()
    locked = await transaction.run("MATCH (c:Checkpoint {id: 'events/0'}) SET c.held = true")
    await locked.consume()
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="did not finish in time"):
        await put(graph, nodes={"Person": [person("bob")]})
    monkeypatch.undo()
    await transaction.rollback()
    assert await graph.position(0) == held
    assert await node(graph, "bob") is None
    await put(graph, nodes={"Person": [person("bob")]})


# values and statements


@pytest.mark.parametrize("value", [{"a": 1}, [1, "a"], [[1]]])
async def test_a_row_that_this_engine_cannot_hold_is_refused(graph: Neo4jGraph, value: Any) -> None:
    await assert_refused(graph, {"nodes": {"Job": [{"id": "j", "x": value}]}})


async def test_a_text_too_large_for_its_index_is_refused(graph: Neo4jGraph) -> None:
    await assert_refused(graph, {"nodes": {"Person": [person("long", age="\u00e9" * 10_000)]}})


async def test_other_values_of_cypher_are_plain(graph: Neo4jGraph) -> None:
    [row] = await graph.query(
        "RETURN date('2024-02-29') AS date, localdatetime('2024-02-29T12:30') AS local,"
        " localtime('12:30') AS time, duration('P1DT2H') AS duration,"
        " datetime('2024-02-29T13:30:15.123+01:00') AS moment, [datetime($at)] AS moments",
        {"at": NOW},
    )
    assert {name: str(value) for name, value in row.items()} == {
        "date": "2024-02-29",
        "local": "2024-02-29 12:30:00",
        "time": "12:30:00",
        "duration": "P1DT2H",
        "moment": str(NOW),
        "moments": str([NOW]),
    }


async def test_parameters_may_be_in_any_time_zone(graph: Neo4jGraph) -> None:
    await put(graph, nodes={"Person": [person("ada", at=NOW)]})
    there = NOW.astimezone(timezone(timedelta(hours=1)))
    for parameters in ({"at": [there]}, {"at": [NOW, there]}):
        rows = await graph.query("MATCH (n) WHERE n.at IN $at RETURN n.id AS id", parameters)
        assert rows == [{"id": "ada"}]


@pytest.mark.parametrize("small", [True, False])
async def test_every_statement_of_a_batch_begins_at_an_index(
    graph: Neo4jGraph, other: AsyncSession, small: bool
) -> None:
    links: dict[LinkKey, list[Row]] = {KNOWS: [{"from": "", "to": "", "props": {}}]}
    write = GraphWrite(
        *(0, (1, 0), (1, 1)),
        nodes={"Person": [Row()]},
        new_nodes={"Person": [Row()], "Event": [{"id": "e"}]},
        removed={"Person": [""]},
        links=links,
        new_links={**links, ("ABOUT", "Event", "Person"): [{"from": "e", "to": "", "props": {}}]},
        unlinks=links,
        unlinks_at_end=links,
    )
    made = Batches(ENTITIES)
    found = dict([made.together([write])] if small else made.pieces(write))
    assert len(found) == (1 if small else 8)
    for text, parameters in {**found, statements.READ_CHECKPOINT: {"checkpoint": ""}}.items():
        result = await other.run(cast("Any", f"EXPLAIN {text}"), parameters)
        summary: Any = await result.consume()
        scanning = {name for name in operators(summary.plan) if name.endswith("Scan")}
        assert not scanning | ({"Expand(All)"} & set(operators(summary.plan)))


@pytest.mark.parametrize("rows", [1, 400])
async def test_of_two_processes_one_wins_each_round(
    graph: Neo4jGraph, neo4j_database: Database, rows: int
) -> None:
    """Neither looks at the position before it has the lock, whatever else it brings."""

    async def write(writer: Neo4jGraph, name: str, held: Position | None, offset: int) -> str:
        people = [person(f"{offset}-{n}", writer=name) for n in range(rows)]
        change = GraphWrite(0, held, (1, offset), nodes={"Person": people})
        # It goes together with one of another partition, which is no matter of the race.
        beside = GraphWrite(1 + (name == "b"), None, (1, offset))
        beside.held = None if offset == 0 else (1, offset - 1)
        others = asyncio.create_task(writer.write(beside))
        try:
            await writer.write(change)
        except CheckpointMoved:
            return ""
        finally:
            await others
        return name

    async with opened(neo4j_database) as second:
        held: Position | None = None
        for offset in range(20):
            outcomes = await asyncio.gather(
                write(graph, "a", held, offset), write(second, "b", held, offset)
            )
            [winner] = filter(None, outcomes)
            found = await graph.query(
                "MATCH (n:Person) WHERE n.id STARTS WITH $start"
                " RETURN DISTINCT n.writer AS writer, count(n) AS rows",
                {"start": f"{offset}-"},
            )
            assert found == [{"writer": winner, "rows": rows}]
            held = (1, offset)


def operators(plan: dict[str, Any]) -> list[str]:
    inside = [name for child in plan.get("children", ()) for name in operators(child)]
    return [plan["operatorType"].partition("@")[0], *inside]


# both engines


async def test_both_engines_have_the_same_fingerprint(graph: Neo4jGraph, tmp_path: Path) -> None:
    embedded = KgliteGraph(tmp_path / "graph.kgl", ENTITIES)
    await embedded.start()
    ids = ["a", "B", "10", "9", "t/1", "\u00e9", "\uffee", "\U0001f600", "a b"]
    rows = [
        person(name, age=n, share=n / 3, at=NOW, tags=["x", name], old=n > 3)
        for n, name in enumerate(ids)
    ]
    known = [{"from": a, "to": b, "props": {"level": 0.5}} for a in ids for b in ids[:3]]
    found: list[str] = []
    for one in (embedded, graph):
        await put(
            one,
            nodes={"Person": rows, "Job": [{"id": "j", "title": "j"}]},
            links={KNOWS: known, GIVEN_TO: [{"from": "j", "to": "a", "props": {"at": NOW}}]},
        )
        found.append(await fingerprint(one, ENTITIES))
    await embedded.stop()
    assert found[0] == found[1]
