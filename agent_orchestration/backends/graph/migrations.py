"""Numbered changes of the graph's constraints and indexes, each with the way back.

`schema/migrations` has `NNNN_name.up.cypher` and `NNNN_name.down.cypher`. Applied in order, they
make the schema that the entities declare. Each statement is harmless to repeat, so a migration that
was interrupted is applied again. They change no data: that is made from the log.
"""

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from agent_orchestration.backends.graph import schema_statements
from agent_orchestration.core.errors import Corrupt

_FILE = re.compile(r"(\d{4})_(\w+)\.(up|down)\.cypher")
_STATEMENT = re.compile(
    r"CREATE (?:CONSTRAINT|(?:RANGE |TEXT |POINT |FULLTEXT )?INDEX) (\w+) IF NOT EXISTS\s.+"
    r"|DROP (?:CONSTRAINT|INDEX) (\w+) IF EXISTS",
    re.DOTALL,
)


class Migration(msgspec.Struct, frozen=True):
    """One step: the statements that make it and those that undo it."""

    number: int
    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]

    def files(self) -> dict[str, str]:
        """File name -> content."""
        stem = f"{self.number:04}_{self.name}"
        both = {f"{stem}.up.cypher": self.up, f"{stem}.down.cypher": self.down}
        return {name: "".join(f"{one};\n" for one in lines) for name, lines in both.items()}


def packaged_migrations() -> tuple[Migration, ...]:
    """The migrations of this program."""
    packaged = resources.files("agent_orchestration") / "schema" / "migrations"
    # In the source tree they stand beside the package.
    beside = Path(__file__).parents[3] / "schema" / "migrations"
    return load_migrations(packaged if packaged.is_dir() else beside)


def load_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """The migrations in a folder, in order. Raises `Corrupt` where a number or a way is missing, or
    a statement could not be repeated."""
    found: dict[tuple[int, str], dict[str, tuple[str, ...]]] = {}
    for file in folder.iterdir():
        match = _FILE.fullmatch(file.name)
        if match is None:
            raise Corrupt("bad_migration", f"{file.name} is not named NNNN_name.up|down.cypher")
        both = found.setdefault((int(match[1]), match[2]), {})
        both[match[3]] = _statements(file)
    for position, ((number, name), both) in enumerate(sorted(found.items()), start=1):
        if number != position or both.keys() != {"up", "down"}:
            raise Corrupt("bad_migration", f"{number:04}_{name}: a number or a way is missing")
    return tuple(Migration(*key, both["up"], both["down"]) for key, both in sorted(found.items()))


def _statements(file: Traversable) -> tuple[str, ...]:
    lines = file.read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("//"))
    found = tuple(one.strip() for one in re.split(r";\s*(?:\n|$)", text) if one.strip())
    for one in found:
        if not _STATEMENT.fullmatch(one):
            raise Corrupt(
                "bad_migration",
                f"{file.name}: {one[:60]!r} is no CREATE … IF NOT EXISTS or DROP … IF EXISTS of a"
                " named constraint or index",
            )
    return found


def schema_after(migrations: Iterable[Migration]) -> dict[str, str]:
    """What there is after them: name -> the statement that made it."""
    made: dict[str, str] = {}
    for migration in migrations:
        for statement in migration.up:
            match = _STATEMENT.fullmatch(statement)
            assert match is not None
            if match[1]:
                made[match[1]] = statement
            else:
                made.pop(match[2], None)
    return made


def next_migration(
    migrations: Iterable[Migration], declared: Mapping[str, str]
) -> Migration | None:
    """The step from what the migrations make to what is declared, where these differ."""
    before = tuple(migrations)
    made = schema_after(before)
    gone = [statement for name, statement in made.items() if declared.get(name) != statement]
    new = [statement for name, statement in declared.items() if made.get(name) != statement]
    if not gone and not new:
        return None
    up = (*map(schema_statements.drop, gone), *new)
    down = (*map(schema_statements.drop, new), *gone)
    return Migration(len(before) + 1, "schema", up, down)
