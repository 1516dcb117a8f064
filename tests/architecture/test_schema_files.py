"""Nothing generated is edited by hand, and nothing that changed is forgotten."""

from pathlib import Path

from agent_orchestration.cli.schema_files import schema_files

FOLDER = Path(__file__).parents[2] / "schema"


def test_the_generated_files_are_up_to_date() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    stored = {path.relative_to(FOLDER).as_posix(): path.read_text("utf-8") for path in files}
    assert stored == dict(schema_files()), "run `make schema` and commit the difference"
