"""`schema` and `topology`: the graph's shape and its migrations, and who reads and writes what."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    ask,
    run,
    settings,
)
from agent_orchestration.cli.text import print_answer, print_json, print_rows

if TYPE_CHECKING:
    from agent_orchestration.backends.graph.migrations import Migration
    from agent_orchestration.backends.graph.neo4j.migrator import Migrator

T = TypeVar("T")
MIGRATION_COLUMNS = ["number", "name", "state", "at"]

schema = typer.Typer(help="The graph's schema.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    program.add_typer(schema, name="schema")
    program.command()(topology)


@schema.command("show")
def show(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show labels, properties, relationships and the prepared questions.

    Example: agent-orchestration schema show --json
    """
    answer = ask(settings(config, data), "get_graph_schema", {})
    (print_json if as_json else print_answer)(answer)


@schema.command("write")
def write(
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")] = Path("schema"),
) -> None:
    """Write the generated files: topology, constraints and indexes, JSON Schemas of the events, and
    the migration to what the entities declare.

    Example: agent-orchestration schema write schema
    """
    from agent_orchestration.cli.schema_files import schema_files  # noqa: PLC0415 (start-up time)

    for name, text in schema_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
        print(folder / name)


@schema.command("migrate")
def migrate(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Apply the migrations of this version that a Neo4j database lacks.

    Example: agent-orchestration schema migrate
    """
    applied = _with_migrator(config, lambda migrator: migrator.migrate())
    _tell("applied", applied, as_json)


@schema.command("current")
def current(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show which migrations a Neo4j database has, and which it lacks.

    Example: agent-orchestration schema current --json
    """

    async def look(migrator: "Migrator") -> list[dict[str, Any]]:
        applied = [
            {**row, "state": "applied", "at": row["at"].isoformat()}
            for row in await migrator.applied()
        ]
        pending = [_row(one) | {"state": "pending"} for one in await migrator.pending()]
        return applied + pending

    rows = _with_migrator(config, look)
    if as_json:
        numbers = [row["number"] for row in rows if row["state"] == "applied"]
        print_json({"current": max(numbers, default=0), "migrations": rows})
    else:
        print_rows(rows, MIGRATION_COLUMNS)


@schema.command("downgrade")
def downgrade(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Undo the migration that a Neo4j database got last.

    Example: agent-orchestration schema downgrade
    """
    undone = _with_migrator(config, lambda migrator: migrator.downgrade())
    _tell("undone", [undone] if undone else [], as_json)


def _with_migrator(config: Path | None, work: "Callable[[Migrator], Awaitable[T]]") -> T:
    from agent_orchestration.backends.graph.migrations import (  # noqa: PLC0415 (start-up time)
        packaged_migrations,
    )
    from agent_orchestration.backends.graph.neo4j.migrator import (  # noqa: PLC0415
        migrator,
    )
    from agent_orchestration.core.errors import Rejected  # noqa: PLC0415

    loaded = settings(config)
    if loaded.backend == "embedded":
        raise Rejected(
            "no_migrations",
            "backend: embedded makes its constraints and indexes when it starts; migrations are for"
            " backend: kafka-neo4j",
            field="backend",
        )

    async def session() -> T:
        async with migrator(loaded.database, packaged_migrations()) as found:
            return await work(found)

    return run(session())


def _row(migration: "Migration") -> dict[str, Any]:
    return {"number": migration.number, "name": migration.name}


def _tell(done: str, migrations: "list[Migration]", as_json: bool) -> None:
    if as_json:
        print_json({done: [_row(one) for one in migrations]})
    elif not migrations:
        print("nothing to do")
    for one in () if as_json else migrations:
        print(f"{done} {one.number:04} {one.name}")


def topology(as_json: JsonOption = False) -> None:
    """Show which part reads and writes which topic.

    Example: agent-orchestration topology
    """
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)
    from agent_orchestration.pipeline.topology import describe  # noqa: PLC0415

    text = describe(REGISTRY).rstrip()
    if as_json:
        print_json({"topology": text})
    else:
        print(text)
