"""Applies migrations to a Neo4j database, which remembers them in `(:Migration {number})` nodes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from agent_orchestration.backends.graph import schema_statements
from agent_orchestration.backends.graph.migrations import Migration
from agent_orchestration.backends.graph.neo4j.connection import Connection
from agent_orchestration.backends.graph.neo4j.errors import writing_errors
from agent_orchestration.config import Database
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Rejected

#: Filling an index takes long in a large graph.
INDEX_SECONDS = 3600


class Migrator:
    """The migrations of this program and a database. Raises `Unavailable` and `WriteRefused`.

    A migration is recorded after its last statement and forgotten after the last one that undoes
    it: whatever was interrupted is done again. Two of these at once do the same work twice.
    """

    def __init__(self, connection: Connection, migrations: Sequence[Migration]) -> None:
        self._connection = connection
        self._migrations = {one.number: one for one in migrations}

    async def applied(self) -> list[Row]:
        """What is recorded: `{number, name, at}` in order."""
        with writing_errors():
            return await self._connection.run(schema_statements.MIGRATIONS)

    async def pending(self) -> list[Migration]:
        """What is not recorded, in order."""
        recorded = {row["number"] for row in await self.applied()}
        return [one for number, one in self._migrations.items() if number not in recorded]

    async def migrate(self) -> list[Migration]:
        """Apply what is pending; answers it."""
        pending = await self.pending()
        with writing_errors():
            await self._connection.change_schema(schema_statements.MIGRATION_CONSTRAINT)
            for migration in pending:
                await self._run(migration.up)
                record = {"number": migration.number, "name": migration.name}
                await self._connection.run(schema_statements.RECORD_MIGRATION, record)
            await self._connection.run(schema_statements.AWAIT_INDEXES, {"seconds": INDEX_SECONDS})
        return pending

    async def downgrade(self) -> Migration | None:
        """Undo the migration that was applied last; answers it. Raises `Rejected` for one that this
        program does not have."""
        applied = await self.applied()
        if not applied:
            return None
        number = applied[-1]["number"]
        migration = self._migrations.get(number)
        if migration is None:
            raise Rejected(
                "unknown_migration",
                f"migration {number} is not of this version of the program: undo it with the"
                " version that applied it",
            )
        with writing_errors():
            await self._run(migration.down)
            await self._connection.run(schema_statements.FORGET_MIGRATION, {"number": number})
        return migration

    async def _run(self, changes: Sequence[str]) -> None:
        for statement in changes:
            await self._connection.change_schema(statement)


@asynccontextmanager
async def migrator(settings: Database, migrations: Sequence[Migration]) -> AsyncGenerator[Migrator]:
    """A migrator on the database that the settings name. Raises `Unavailable`."""
    connection = Connection(settings)
    await connection.open()
    try:
        yield Migrator(connection, migrations)
    finally:
        await connection.close()
