"""`plan validate` and `plan submit`: plan files without carrying them out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import console, plain, print_json

if TYPE_CHECKING:
    from agent_orchestration.repeating import SessionDispatcher

plan = typer.Typer(help="Plan files: check and submit them.", no_args_is_help=True)

PlanArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A plan in YAML or JSON.")]


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    program.add_typer(plan, name="plan")


@plan.command("validate")
def validate(file: PlanArgument, as_json: JsonOption = False) -> None:
    """Check a plan file and list everything that is wrong with it; exit code 2 if anything is.

    Example: agent-orchestration plan validate plan.yaml
    """
    from agent_orchestration.workers.plan_file import load_plan  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.plan_submission import not_run  # noqa: PLC0415

    found = load_plan(file)
    notes = list(not_run(found))
    if as_json:
        counts = {"tasks": len(found.tasks), "agents": sum(one.count for one in found.agents)}
        print_json({"valid": True, "title": found.title, **counts, "notes": notes})
        return
    for note in notes[:20]:
        console().print(plain(f"note: {note}"), soft_wrap=True)
    edges = sum(len(task.depends_on) for task in found.tasks)
    console().print(plain(f"{file}: valid, {len(found.tasks)} tasks, {edges} dependencies"))


@plan.command("submit")
def submit(
    file: PlanArgument,
    plan_id: Annotated[
        str | None,
        typer.Option("--plan-id", metavar="ID", help="Its id.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Submit a plan for agents to claim. Its commands are carried out by no one who was not
    allowed to; `run` with the same id does it.

    Example: agent-orchestration plan submit plan.yaml
    """
    from agent_orchestration.workers.plan_file import load_plan  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.plan_submission import (  # noqa: PLC0415
        plan_id_of,
        submission,
    )

    found = load_plan(file)
    chosen = plan_id_of(found, plan_id)
    arguments = submission(found, chosen, Path.cwd())
    loaded = settings(config, data)
    answer = with_dispatcher(loaded, lambda dispatcher: _submit(dispatcher, arguments))
    if as_json:
        print_json(answer)
        return
    known = "was submitted before" if answer["found"] else "submitted"
    console().print(plain(f"plan {chosen} {known}: {len(found.tasks)} tasks"), soft_wrap=True)
    for task_id in answer["task_ids"][:20]:
        console().print(plain(f"  {task_id}"), soft_wrap=True)
    if len(answer["task_ids"]) > 20:
        console().print(f"  and {len(answer['task_ids']) - 20} more")
    if answer["unstaffed"]:
        console().print(plain(f"nobody has yet: {', '.join(answer['unstaffed'])}"), soft_wrap=True)


async def _submit(dispatcher: "SessionDispatcher", arguments: dict[str, Any]) -> dict[str, Any]:
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers import plan_submission  # noqa: PLC0415
    from agent_orchestration.workers.calls import PatientCalls  # noqa: PLC0415

    call = PatientCalls(dispatcher, Caller(correlation=arguments["id"]))
    known = await plan_submission.find(call, arguments)
    answer = await plan_submission.submit(call, arguments) if known is None else {"plan": known}
    return {
        "plan_id": arguments["id"],
        "found": known is not None,
        "task_ids": [f"{arguments['id']}.{task['id']}" for task in arguments["tasks"]],
        "unstaffed": answer.get("unstaffed", []),
    }
