"""Migrations on a real Neo4j: applied once, repeated harmlessly, undone one by one."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from agent_orchestration.backends.graph import WriteRefused
from agent_orchestration.backends.graph.migrations import Migration, packaged_migrations
from agent_orchestration.backends.graph.neo4j.connection import Connection
from agent_orchestration.backends.graph.neo4j.migrator import Migrator
from agent_orchestration.cli import main
from agent_orchestration.config import Database
from agent_orchestration.core.errors import Rejected

FIRST = Migration(
    1,
    "first",
    (
        "CREATE CONSTRAINT moon_id IF NOT EXISTS FOR (n:Moon) REQUIRE n.id IS UNIQUE",
        "CREATE INDEX moon_size IF NOT EXISTS FOR (n:Moon) ON (n.size)",
    ),
    ("DROP INDEX moon_size IF EXISTS", "DROP CONSTRAINT moon_id IF EXISTS"),
)
SECOND = Migration(
    2,
    "second",
    ("CREATE INDEX moon_name IF NOT EXISTS FOR (n:Moon) ON (n.name)",),
    ("DROP INDEX moon_name IF EXISTS",),
)
BOTH = (FIRST, SECOND)


@pytest.fixture
async def connection(neo4j_database: Database) -> AsyncIterator[Connection]:
    connection = Connection(neo4j_database)
    await connection.open()
    await undo(connection)
    yield connection
    await undo(connection)
    await connection.close()


async def undo(connection: Connection) -> None:
    for statement in (*SECOND.down, *FIRST.down):
        await connection.run(statement)


async def made(connection: Connection) -> set[str]:
    """The names of the indexes that there are, those of constraints too."""
    rows = await connection.run("SHOW INDEXES YIELD name WHERE name STARTS WITH 'moon' RETURN name")
    return {row["name"] for row in rows}


async def recorded(migrator: Migrator) -> list[int]:
    return [row["number"] for row in await migrator.applied()]


async def test_what_is_pending_is_applied_in_order_and_once(connection: Connection) -> None:
    assert await Migrator(connection, [FIRST]).migrate() == [FIRST]
    assert await made(connection) == {"moon_id", "moon_size"}
    migrator = Migrator(connection, BOTH)
    assert await migrator.pending() == [SECOND]
    assert await migrator.migrate() == [SECOND]
    assert await made(connection) == {"moon_id", "moon_size", "moon_name"}
    assert await migrator.migrate() == []
    assert await recorded(migrator) == [1, 2]


async def test_the_last_one_is_undone_until_there_is_none(connection: Connection) -> None:
    migrator = Migrator(connection, BOTH)
    await migrator.migrate()
    assert await migrator.downgrade() == SECOND
    assert await made(connection) == {"moon_id", "moon_size"}
    assert await migrator.downgrade() == FIRST
    assert await made(connection) == set()
    assert await migrator.downgrade() is None
    assert await migrator.migrate() == list(BOTH)


async def test_one_that_fails_is_not_recorded_and_is_applied_again(connection: Connection) -> None:
    await connection.run("UNWIND [1, 1] AS id CREATE (:Moon {id: id})")
    failing = Migration(1, "failing", FIRST.up[::-1], FIRST.down)
    with pytest.raises(WriteRefused):
        await Migrator(connection, [failing, SECOND]).migrate()
    migrator = Migrator(connection, BOTH)
    assert await made(connection) == {"moon_size"}
    assert await migrator.pending() == list(BOTH)
    await connection.run("MATCH (n:Moon) DELETE n")
    assert await migrator.migrate() == list(BOTH)
    assert await recorded(migrator) == [1, 2]


async def test_two_at_once_do_no_harm(connection: Connection) -> None:
    migrators = [Migrator(connection, BOTH) for _ in range(2)]
    await asyncio.gather(*(migrator.migrate() for migrator in migrators))
    assert await recorded(migrators[0]) == [1, 2]
    assert await made(connection) == {"moon_id", "moon_size", "moon_name"}


async def test_what_another_version_applied_is_not_undone(connection: Connection) -> None:
    await Migrator(connection, BOTH).migrate()
    with pytest.raises(Rejected, match="migration 2 is not of this version"):
        await Migrator(connection, [FIRST]).downgrade()


# on the command line


@pytest.fixture
def environment(neo4j_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert neo4j_database.password is not None
    monkeypatch.setenv("AGENT_ORCHESTRATION_BACKEND", "kafka-neo4j")
    monkeypatch.setenv("NEO4J_URI", neo4j_database.uri)
    monkeypatch.setenv("NEO4J_USERNAME", neo4j_database.username)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password.get_secret_value())


@pytest.mark.usefixtures("environment")
def test_the_verbs_migrate_show_and_undo(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert main(["schema", *words]) == 0
        return capsys.readouterr().out

    last = len(packaged_migrations())
    assert json.loads(said("current", "--json"))["current"] == 0
    assert said("migrate").startswith("applied 0001 schema\n")
    assert said("migrate") == "nothing to do\n"
    shown = json.loads(said("current", "--json"))
    assert shown["current"] == last
    assert [row["state"] for row in shown["migrations"]] == ["applied"] * last
    assert "applied" in said("current")
    for number in range(last, 0, -1):
        assert said("downgrade").startswith(f"undone {number:04} ")
    assert json.loads(said("downgrade", "--json")) == {"undone": []}
    assert [m["state"] for m in json.loads(said("current", "--json"))["migrations"]] == [
        "pending"
    ] * last


def test_the_embedded_graph_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "migrate"]) == 3
    assert "backend: kafka-neo4j" in capsys.readouterr().err
