"""`schema show` and `topology`: the graph's shape, and who reads and writes what."""

from pathlib import Path
from typing import Annotated

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, ask, settings
from agent_orchestration.cli.text import print_answer, print_json

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
    """Write the generated files: topology, constraints and indexes, JSON Schemas of the events.

    Example: agent-orchestration schema write schema
    """
    from agent_orchestration.cli.schema_files import schema_files  # noqa: PLC0415 (start-up time)

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, "utf-8")
        print(folder / name)


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
