"""The program: all verbs together, and what happens when one fails."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from agent_orchestration import __version__
from agent_orchestration.cli import (
    agent_logs,
    analytics,
    archive,
    backup,
    call,
    consumer_groups,
    copy_log,
    demo,
    doctor,
    entities,
    events,
    install,
    plan,
    query,
    rebuild,
    redrive,
    rules,
    schema,
    serve,
    slo,
    stand_in_model,
    topics,
    users,
    verify,
    worker,
    workflow,
)
from agent_orchestration.cli.failure import INTERRUPTED, PIPE_CLOSED, TERMINATED, report
from agent_orchestration.cli.session import collect_rarely, server_option

NAME = "agent-orchestration"

program = typer.Typer(
    name=NAME,
    help="Agent orchestration: agents, their tasks, and the graph of both.",
    epilog=f"Start with: {NAME} demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for module in (
    serve,
    demo,
    call,
    query,
    entities,
    agent_logs,
    events,
    workflow,
    plan,
    worker,
    analytics,
    rebuild,
    verify,
    archive,
    backup,
    redrive,
    rules,
    users,
    doctor,
    slo,
    install,
    schema,
    topics,
    consumer_groups,
    copy_log,
    stand_in_model,
):
    module.add_to(program)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"{NAME} {__version__}")
        raise typer.Exit


@program.callback()
def _options(
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Be a client of the server there."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    del version
    server_option.set(server)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit code. Never raises for what a user can meet."""
    given = sys.argv[1:] if arguments is None else arguments
    collect_rarely()
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show must not end the program.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code: object = program(given, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except Exception as error:
        return report(error, as_json="--json" in given)
    return code if isinstance(code, int) else 0
