"""`agent-orchestration run FILE`: replay a recorded workflow on the platform."""

import asyncio
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from agent_orchestration.cli.text import cell, json_line, plain
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError, Rejected

if TYPE_CHECKING:
    from agent_orchestration.workers.plan import Plan
    from agent_orchestration.workers.replay import Progress

REFRESH_SECONDS = 0.25
LINE_SECONDS = 5.0
SHOWN_AGENTS = 12
STATUSES = ("blocked", "ready", "assigned", "running", "completed", "failed", "cancelled")
FASTEST = 1e9


async def run_workflow(
    dispatcher: Dispatcher,
    file: Path,
    *,
    speed: float,
    agents: int | None,
    run_id: str | None,
    console: Console,
    as_json: bool,
) -> int:
    """Replay the WfFormat 1.5 workflow in `file`: 0 when every task completed, else 1.

    `speed` divides the recorded runtimes; `agents` None chooses their number; a `run_id` used
    before goes on with that run. With `as_json` one JSON document goes to the console, at the end.
    Raises a `PlatformError` for a bad file or option, before anything is created, and for a
    platform that stays out of reach.
    """
    from agent_orchestration.workers.calls import PatientCalls  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.outcome import summarize  # noqa: PLC0415
    from agent_orchestration.workers.plan import make_plan, new_run_id  # noqa: PLC0415
    from agent_orchestration.workers.replay import Replay  # noqa: PLC0415
    from agent_orchestration.workers.wfformat import load_workflow  # noqa: PLC0415

    if not (math.isfinite(speed) and 0 < speed <= FASTEST):
        problem = f"--speed: {speed} is not possible; use a number above 0, at most {FASTEST:g}"
        raise Rejected("invalid_argument", problem, field="speed")
    workflow = load_workflow(file)
    plan = make_plan(workflow, run_id or new_run_id(workflow), agents)
    calls = PatientCalls(dispatcher, Caller(correlation=plan.run_id))
    replay = Replay(calls, plan, speed)
    if not as_json:
        console.print(_heading(plan, speed))
    shown = asyncio.create_task(_show(replay.progress, plan, console, as_json))
    try:
        complete = await replay.run()
        summary = await summarize(calls, plan, replay.progress, speed)
    except (PlatformError, asyncio.CancelledError) as error:
        resumable = not isinstance(error, Rejected)
        if resumable and not as_json:
            console.print(Text(f"The run stopped. Go on with it: --run-id {plan.run_id}"))
        raise
    finally:
        shown.cancel()
        await asyncio.wait([shown])
    if as_json:
        console.print(Text(json_line(summary)), soft_wrap=True)
    else:
        _print_summary(console, summary)
    return 0 if complete else 1


def _heading(plan: "Plan", speed: float) -> Text:
    workflow = plan.workflow
    text = Text()
    text.append(f"replay of {plain(workflow.name)}", style="bold")
    text.append(f" at {speed:g} times the recorded speed, run {plan.run_id}\n")
    text.append(
        f"{len(workflow.tasks)} tasks, {len(workflow.capabilities)} capabilities,"
        f" {len(plan.agents)} agents ({plan.chosen})\n"
        "The recorded programs are not run: each agent waits the recorded runtime."
    )
    return text


async def _show(progress: "Progress", plan: "Plan", console: Console, as_json: bool) -> None:
    """Show the progress until cancelled: a table on a terminal, else a line now and then."""
    if as_json:
        return
    if not console.is_terminal:
        await _show_lines(progress, plan, console)
        return
    from rich.live import Live  # noqa: PLC0415 (start-up time)

    with Live(_table(progress, plan), console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(_table(progress, plan), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            live.update(_table(progress, plan), refresh=True)


async def _show_lines(progress: "Progress", plan: "Plan", console: Console) -> None:
    said = ""
    while True:
        await asyncio.sleep(LINE_SECONDS)
        counts = ", ".join(f"{count} {status}" for status, count in _ordered(progress.counts))
        if counts and counts != said:
            said = counts
            line = f"replay {progress.elapsed:.0f} s: {counts} of {len(plan.ids)} tasks"
            console.print(line, markup=False, highlight=False)


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    known = [(status, counts[status]) for status in STATUSES if status in counts]
    return known + [(s, n) for s, n in sorted(counts.items()) if s not in STATUSES]


def _table(progress: "Progress", plan: "Plan") -> Group:
    status = Table(title=f"replay, {progress.elapsed:.1f} s", title_justify="left")
    for name in ("status", "tasks"):
        status.add_column(name, justify="right" if name == "tasks" else "left")
    for name, count in _ordered(progress.counts):
        status.add_row(name, str(count))
    status.add_row("all", str(len(plan.ids)), style="bold")
    busy = Table(title=f"{len(progress.working)} of {len(plan.agents)} agents at work")
    for name in ("agent", "task", "done"):
        busy.add_column(name, no_wrap=True, justify="right" if name == "done" else "left")
    working = sorted(progress.working.items())
    for agent, title in working[:SHOWN_AGENTS]:
        busy.add_row(Text(agent), Text(plain(title)), str(progress.done_by.get(agent, 0)))
    if len(working) > SHOWN_AGENTS:
        busy.add_row(f"and {len(working) - SHOWN_AGENTS} more", "", "")
    return Group(status, busy)


def _print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    console.print(_totals(summary))
    path = summary["critical_path"]
    console.print(Text("Critical path", style="bold"), Text(_path_length(path)))
    for number, task in enumerate(path["tasks"], 1):
        console.print(Text(f"  {number}. {plain(task)}"), soft_wrap=True)
    for asked in summary["questions"]:
        console.print(Text(f"\n{asked['question']}", style="bold"))
        console.print(Text(asked["query"]), Text(f"with {json.dumps(asked['params'])}"), sep="\n")
        console.print(_rows(asked["rows"]))
    for note in summary["notes"]:
        console.print(Text(f"note: {plain(note)}"), soft_wrap=True)


def _path_length(path: Mapping[str, Any]) -> str:
    recorded, replayed = path["recorded_seconds"], path["seconds"]
    return f"{len(path['tasks'])} tasks, {recorded:.3f} s recorded, {replayed:.3f} s in this replay"


def _totals(summary: Mapping[str, Any]) -> Table:
    tasks = summary["tasks"]
    done = ", ".join(f"{count} {status}" for status, count in _ordered(tasks["by_status"]))
    table = Table(
        title=Text(f"replay of {plain(summary['workflow'])}"),
        show_header=False,
        title_justify="left",
    )
    for label, value in (
        ("run id", summary["run_id"]),
        ("tasks", f"{tasks['total']}: {done}"),
        ("dependencies", str(summary["dependencies"])),
        ("agents", f"{summary['agents']['count']} ({summary['agents']['chosen']})"),
        ("recorded work", f"{summary['recorded_seconds']:.3f} s"),
        ("wall time", f"{summary['wall_seconds']:.3f} s"),
        ("  of which set-up", f"{summary['setup_seconds']:.3f} s"),
        ("ideal schedule", f"{summary['ideal_seconds']:.3f} s"),
        ("overhead per task", _overhead(summary)),
        ("attempts taken back", str(summary["attempts_taken_back"])),
        ("calls repeated", str(summary["calls_repeated"])),
    ):
        table.add_row(label, Text(plain(value)))
    return table


def _overhead(summary: Mapping[str, Any]) -> str:
    seconds = summary["overhead_per_task_seconds"]
    if seconds is None:
        return "not known: the run was resumed"
    return f"{seconds * 1000:.2f} ms (wall time less the ideal schedule, by tasks)"


def _rows(rows: list[dict[str, Any]]) -> Table | Text:
    if not rows:
        return Text("(no rows)")
    table = Table()
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row.values()))
    return table
