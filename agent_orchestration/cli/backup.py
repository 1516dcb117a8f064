"""`backup` and `restore`: the graph as files."""

from typing import Annotated, Any

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import moment, plain, print_json, print_rows

backup = typer.Typer(help="Backups of the graph.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    program.add_typer(backup, name="backup")
    program.command()(restore)


@backup.command("create")
def create(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Make a backup, restore it beside the graph, compare the two, and delete old ones.

    Example: agent-orchestration backup create
    """
    from agent_orchestration.core.operations import Backup  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Backup())
    if as_json:
        print_json(result)
        return
    print(
        plain(
            f"{result['name']} in {result['place']}: {result['lines']} nodes and relationships"
            f" of {result['events']} events, in {result['seconds']:.1f} s"
        )
    )
    for name in result["pruned"]:
        print(f"{name} is deleted")


@backup.command("list")
def list_all(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Show the backups that there are.

    Example: agent-orchestration backup list
    """
    from agent_orchestration.core.operations import ListBackups  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), ListBackups())
    if as_json:
        print_json(result)
        return
    print_rows([_row(one) for one in result["backups"]])


def _row(one: dict[str, Any]) -> dict[str, Any]:
    events = sum(one["positions"])
    return {
        "name": one["name"],
        "made": moment(one["created"]),
        "events": events,
        "lines": one["lines"],
        "version": one["version"],
    }


def restore(
    name: Annotated[
        str | None, typer.Argument(help="The backup; the last one unless named.")
    ] = None,
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="URI", help="The empty graph on that Neo4j server."),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Load a backup into an empty graph, and compare. Processors fold what came later: start them
    afterwards.

    Example: agent-orchestration restore --into bolt://localhost:7688
    """
    from agent_orchestration.core.operations import Restore  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Restore(name, into))
    if as_json:
        print_json(result)
    else:
        print(
            plain(
                f"{result['name']}: {result['lines']} nodes and relationships"
                f" in {result['seconds']:.1f} s"
            )
        )
        print("the graph is the one that was kept" if result["equal"] else "the graphs DIFFER")
    return 0 if result["equal"] else 1
