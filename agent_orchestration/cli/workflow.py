"""`run FILE`: a recorded workflow, replayed on the platform."""

from pathlib import Path
from typing import Annotated

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import console


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command("run")(run)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow in WfFormat 1.5.")],
    speed: Annotated[
        float, typer.Option(metavar="N", help="How many times faster than it was recorded.")
    ] = 100.0,
    agents: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many agents work.", show_default=False),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="ID", help="Go on with this run.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Replay a recorded workflow: its tasks, dependencies and runtimes, done by agents.

    Example: agent-orchestration run workflow.json --speed 100
    """
    from agent_orchestration.cli.run import run_workflow  # noqa: PLC0415 (start-up time)

    return with_dispatcher(
        settings(config, data),
        lambda dispatcher: run_workflow(
            dispatcher,
            file,
            speed=speed,
            agents=agents,
            run_id=run_id,
            console=console(),
            as_json=as_json,
        ),
        serve=True,
    )
