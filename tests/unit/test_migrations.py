"""Migrations are files that can be read, repeated and undone, and that make what is declared."""

from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import schema_statements
from agent_orchestration.backends.graph.migrations import (
    Migration,
    load_migrations,
    next_migration,
    packaged_migrations,
    schema_after,
)
from agent_orchestration.core.errors import Corrupt

A = "CREATE CONSTRAINT a_id IF NOT EXISTS FOR (n:A) REQUIRE n.id IS UNIQUE"
B = "CREATE INDEX b_index IF NOT EXISTS FOR (n:B) ON (n.x)"
B_WIDER = "CREATE INDEX b_index IF NOT EXISTS FOR (n:B) ON (n.x, n.y)"
DROP_A = "DROP CONSTRAINT a_id IF EXISTS"
DROP_B = "DROP INDEX b_index IF EXISTS"


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_the_migrations_of_this_version_make_what_the_entities_declare() -> None:
    found = packaged_migrations()
    declared = schema_statements.schema(REGISTRY.entities.values())
    assert schema_after(found) == declared
    assert next_migration(found, declared) is None


def test_undoing_all_migrations_drops_all_that_they_made() -> None:
    found = packaged_migrations()
    undone = [statement for one in reversed(found) for statement in one.down]
    back = Migration(1, "back", tuple(undone), ())
    assert schema_after([*found, back]) == {}


def test_a_change_of_the_declarations_is_the_next_migration_and_can_be_undone() -> None:
    first = next_migration([], {"a_id": A, "b_index": B})
    assert first == Migration(1, "schema", (A, B), (DROP_A, DROP_B))
    assert first is not None
    second = next_migration([first], {"b_index": B_WIDER})
    assert second is not None
    assert second == Migration(2, "schema", (DROP_A, DROP_B, B_WIDER), (DROP_B, A, B))
    assert schema_after([first, second]) == {"b_index": B_WIDER}
    undone = Migration(3, "undone", second.down, ())
    assert schema_after([first, second, undone]) == {"a_id": A, "b_index": B}


def test_files_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    first = Migration(1, "schema", (A, B), (DROP_A, DROP_B))
    second = Migration(2, "wider", (DROP_B, B_WIDER), (DROP_B, B))
    folder = written(tmp_path, {**second.files(), **first.files()})
    assert load_migrations(folder) == (first, second)


def test_comments_and_line_breaks_are_of_no_account(tmp_path: Path) -> None:
    broken = A.replace(" FOR ", "\n  FOR ")
    text = f"// What has an id; it is unique.\n\n{broken} ;\n{B}"
    folder = written(tmp_path, {"0001_x.up.cypher": text, "0001_x.down.cypher": ""})
    assert load_migrations(folder) == (Migration(1, "x", (broken, B), ()),)


@pytest.mark.parametrize(
    "files",
    [
        {"0001_x.up.cypher": A},
        {"0001_x.down.cypher": DROP_A},
        {"0002_x.up.cypher": A, "0002_x.down.cypher": DROP_A},
        {"0001_x.up.cypher": A, "0001_y.down.cypher": DROP_A},
        {"1_x.up.cypher": A},
        {"notes.md": ""},
        {"0001_x.up.cypher": "CREATE (:A)", "0001_x.down.cypher": ""},
        {"0001_x.up.cypher": "MATCH (n) DETACH DELETE n", "0001_x.down.cypher": ""},
        {"0001_x.up.cypher": A.replace(" IF NOT EXISTS", ""), "0001_x.down.cypher": DROP_A},
        {"0001_x.up.cypher": A, "0001_x.down.cypher": "DROP CONSTRAINT a_id"},
    ],
)
def test_files_that_cannot_be_applied_are_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(Corrupt):
        load_migrations(written(tmp_path, files))
