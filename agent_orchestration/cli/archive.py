"""`archive`: events kept for ever, outside the log."""

from typing import Annotated

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import plain, print_json, print_rows

StatusOption = Annotated[
    bool, typer.Option("--status", help="Only say how far it is; exit code 1 when it is late.")
]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(archive)


def archive(
    status: StatusOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Archive what is not yet, and delete from the log what is archived and old. Processors do so
    by themselves, all the time.

    Example: agent-orchestration archive --status
    """
    from agent_orchestration.core.operations import Archive  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Archive(only_look=status))
    if as_json:
        print_json(result)
    else:
        print_rows(result["partitions"])
        print(
            plain(
                f"{result['written']} events written to {result['place']},"
                f" {result['deleted']} deleted from the log"
            )
        )
    return 1 if status and not result["ok"] else 0
