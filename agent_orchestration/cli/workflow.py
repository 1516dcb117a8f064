"""`run FILE`: carry out a plan, or replay a recorded workflow."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import console

if TYPE_CHECKING:
    from agent_orchestration.config import Config

DEFAULT_SPEED = 100.0

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A plan, or a workflow in WfFormat 1.5.")
]
AgentsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="How many agents work; of a plan: that can do everything, instead of its own.",
        show_default=False,
    ),
]
PlanIdOption = Annotated[
    str | None,
    typer.Option("--plan-id", metavar="ID", help="Go on with this plan.", show_default=False),
]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Of a workflow: how many times faster than it was recorded (default 100).",
        show_default=False,
    ),
]
RunIdOption = Annotated[
    str | None,
    typer.Option(
        "--run-id", metavar="ID", help="Of a workflow: go on with it.", show_default=False
    ),
]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command("run")(run)


def run(
    file: FileArgument,
    agents: AgentsOption = None,
    plan_id: PlanIdOption = None,
    speed: SpeedOption = None,
    run_id: RunIdOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Carry out the commands of a plan with agents, or replay a recorded workflow.

    The same plan under the same id goes on where it was; nothing that completed is repeated.

    Example: agent-orchestration run plan.yaml --plan-id release-7
    """
    from agent_orchestration.workers.plan_file import is_plan  # noqa: PLC0415 (start-up time)

    loaded = settings(config, data)
    if is_plan(file):
        _refuse({"--speed": speed, "--run-id": run_id}, f"{file} is a plan; see --plan-id")
        return _run_plan(loaded, file, plan_id, agents, as_json)
    _refuse({"--plan-id": plan_id}, f"{file} is a recorded workflow; see --run-id")
    return _replay(loaded, file, speed, run_id, agents, as_json)


def _run_plan(
    loaded: "Config", file: Path, plan_id: str | None, agents: int | None, as_json: bool
) -> int:
    from agent_orchestration.cli.run_plan import run_plan_file  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.plan_file import load_plan  # noqa: PLC0415

    plan = load_plan(file)
    return with_dispatcher(
        loaded,
        lambda dispatcher: run_plan_file(
            dispatcher,
            plan,
            file,
            data=loaded.data,
            plan_id=plan_id,
            agents=agents,
            console=console(),
            as_json=as_json,
        ),
        serve=True,
        traced="run",
    )


def _replay(
    loaded: "Config",
    file: Path,
    speed: float | None,
    run_id: str | None,
    agents: int | None,
    as_json: bool,
) -> int:
    from agent_orchestration.cli.run import run_workflow  # noqa: PLC0415 (start-up time)

    return with_dispatcher(
        loaded,
        lambda dispatcher: run_workflow(
            dispatcher,
            file,
            speed=DEFAULT_SPEED if speed is None else speed,
            agents=agents,
            run_id=run_id,
            console=console(),
            as_json=as_json,
        ),
        serve=True,
        traced="run",
    )


def _refuse(options: dict[str, object], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(reason, param_hint=name)
