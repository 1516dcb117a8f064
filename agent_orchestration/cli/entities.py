"""`agents` and `tasks`: lists and single ones."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    ask,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import print_answer, print_json, print_rows

if TYPE_CHECKING:
    from agent_orchestration.core.dispatch import Caller
    from agent_orchestration.repeating import SessionDispatcher

#: What one call of a list tool answers at most.
PAGE = 200
AGENT_COLUMNS = ["id", "name", "kind", "status", "active", "max_concurrency", "capabilities"]
TASK_COLUMNS = ["id", "title", "status", "priority", "attempt", "agent_id", "waiting_on", "reason"]

agents = typer.Typer(help="Agents: list them, look at one.", no_args_is_help=True)
tasks = typer.Typer(help="Tasks: list them, look at one.", no_args_is_help=True)

StatusOption = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="Only with this status.")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="KEY=VALUE", help="Only with this label.")
]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]


def add_to(program: typer.Typer) -> None:
    """Register the nouns."""
    program.add_typer(agents, name="agents")
    program.add_typer(tasks, name="tasks")


@agents.command("list")
def list_agents(
    status: StatusOption = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only of this kind.")
    ] = None,
    label: LabelOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List agents in the order of their ids.

    Example: agent-orchestration agents list --status idle
    """
    filters = {"status": status, "kind": kind, "label": label}
    rows = with_dispatcher(
        settings(config, data),
        lambda dispatcher: pages(dispatcher, "list_agents", "agents", filters, limit),
    )
    for row in rows if not as_json else ():
        row["capabilities"] = [f"{one['name']} {one['level']:g}" for one in row["capabilities"]]
    print_list(rows, AGENT_COLUMNS, as_json)


@agents.command("get")
def get_agent(
    agent_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one agent.

    Example: agent-orchestration agents get agent-1
    """
    answer = ask(settings(config, data), "get_agent", {"agent_id": agent_id})
    (print_json if as_json else print_answer)(answer["agent"])


@tasks.command("list")
def list_tasks(
    status: StatusOption = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="Only those it holds or held.")
    ] = None,
    capability: Annotated[
        str | None, typer.Option("--capability", metavar="NAME", help="Only those requiring it.")
    ] = None,
    label: LabelOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List tasks in the order of their ids.

    Example: agent-orchestration tasks list --status ready --capability python
    """
    filters = {"status": status, "agent_id": agent, "capability": capability, "label": label}
    rows = with_dispatcher(
        settings(config, data),
        lambda dispatcher: pages(dispatcher, "list_tasks", "tasks", filters, limit),
    )
    print_list(rows, TASK_COLUMNS, as_json)


@tasks.command("get")
def get_task(
    task_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one task with everything known of it.

    Example: agent-orchestration tasks get task-1
    """
    answer = ask(settings(config, data), "get_task", {"task_id": task_id})
    (print_json if as_json else print_answer)(answer["task"])


async def pages(
    dispatcher: "SessionDispatcher",
    tool: str,
    field: str,
    filters: dict[str, Any],
    limit: int,
    caller: "Caller | None" = None,
) -> list[dict[str, Any]]:
    """Up to `limit` entries, page by page, for the local operator or another caller."""
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

    asking = caller or Caller()
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(rows) < limit:
        page = {"limit": min(PAGE, limit - len(rows)), "cursor": cursor}
        answer = await dispatcher.call(tool, {**filters, **page}, asking)
        rows += answer[field]
        cursor = answer.get("next_cursor")
        if cursor is None:
            break
    return rows


def print_list(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    """A table for people, a list for programs."""
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(rows, columns)
    else:
        print("none")
