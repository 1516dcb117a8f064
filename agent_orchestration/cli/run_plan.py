"""`agent-orchestration run PLAN.yaml`: carry out a plan's commands with agents in this process."""

import asyncio
import hashlib
import json
import shlex
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from agent_orchestration.cli.text import json_line, plain
from agent_orchestration.core.dispatch import Dispatcher
from agent_orchestration.core.errors import Conflict

if TYPE_CHECKING:
    from agent_orchestration.workers.held import HeldTask
    from agent_orchestration.workers.plan_file import PlanFile
    from agent_orchestration.workers.run_plan import PlanProgress, PlanRun
    from agent_orchestration.workers.worker import Change

REFRESH_SECONDS = 0.25
SHOWN_TASKS = 12
#: A plan with more tasks is told of in totals only.
MOST_LINES = 500
TAIL_LINES = 15
STATUSES = ("blocked", "ready", "assigned", "running", "completed", "failed", "cancelled")


async def run_plan_file(
    dispatcher: Dispatcher,
    plan: "PlanFile",
    file: Path,
    *,
    data: Path,
    plan_id: str | None,
    agents: int | None,
    console: Console,
    as_json: bool,
) -> int:
    """Carry out the plan that `file` holds: 0 when every task completed, else 1.

    `data` is the data folder; a `plan_id` used before goes on with that plan; `agents` replaces
    the file's agents by so many that can do everything. With `as_json` one JSON document goes to
    the console, at the end. Raises `Rejected` before anything is submitted, and `Conflict` where
    the plan's id is another plan's, or another process is carrying it out.
    """
    from agent_orchestration.config import child_environment  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.allowed import PlanGrants  # noqa: PLC0415
    from agent_orchestration.workers.command_agent import CommandAgent  # noqa: PLC0415
    from agent_orchestration.workers.plan_submission import (  # noqa: PLC0415
        payloads,
        plan_id_of,
        staff,
        submission,
    )
    from agent_orchestration.workers.run_plan import PlanRun  # noqa: PLC0415

    chosen = plan_id_of(plan, plan_id)
    team = staff(plan, chosen, agents)
    arguments = submission(plan, chosen, Path.cwd())
    with _alone(data, chosen):
        grants = PlanGrants(data / "work" / "grants")
        grants.register(chosen, payloads(arguments))
        handler = CommandAgent(data / "work", grants, environment=child_environment())
        view = View(console, plan.title, len(plan.tasks), quiet=as_json)
        run = PlanRun(dispatcher, arguments, team, handler, watch=view.changed)
        view.begin(run.progress, len(team))
        try:
            status = await _watched(run, view)
        except asyncio.CancelledError:
            console.print(_resume(file, chosen, data), soft_wrap=True)
            raise
        outcome = await _outcome(run, status)
        if status != "running":
            grants.revoke(chosen)
    _print_outcome(console, outcome, data, as_json)
    return 0 if status == "completed" else 1


async def _watched(run: "PlanRun", view: "View") -> str:
    shown = asyncio.create_task(view.show(run.progress))
    try:
        return await run.run()
    finally:
        shown.cancel()
        await asyncio.wait([shown])


@contextmanager
def _alone(data: Path, plan_id: str) -> Generator[None]:
    """Be the only process that carries out this plan in this data folder."""
    folder = data / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(plan_id.encode()).hexdigest()[:16]  # an id may be no file name
    try:
        with filelock.FileLock(folder / f"{name}.lock", timeout=0, thread_local=False):
            yield
    except filelock.Timeout:
        raise Conflict(
            "plan_running",
            f"--plan-id: another process is carrying out plan {plan_id}; wait for it, or end it",
            field="plan_id",
        ) from None


def _resume(file: Path, plan_id: str, data: Path) -> Text:
    words = ["agent-orchestration", "run", str(file), "--plan-id", plan_id, "--data", str(data)]
    return Text(f"\nThe run stopped; nothing was cancelled. Go on with: {shlex.join(words)}")


class View:
    """What a person sees meanwhile: a table on a terminal, else a line for every change."""

    def __init__(self, console: Console, title: str, total: int, *, quiet: bool) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._quiet = quiet
        self._progress: PlanProgress | None = None

    def begin(self, progress: "PlanProgress", agents: int) -> None:
        """From now on this is what is shown."""
        self._progress = progress
        if not self._quiet:
            self._console.print(Text(plain(self._title), style="bold"), f"plan {progress.plan_id}")
            self._console.print(f"{self._total} tasks, {agents} agents")

    def changed(self, task: "HeldTask", change: "Change") -> None:
        """An agent's task changed."""
        if self._quiet or self._progress is None or self._total > MOST_LINES:
            return
        if self._console.is_terminal and change != "failed":
            return
        what = {"claimed": "started", "stopped": "given back", "cancel": "cancelled"}
        line = (
            f"{self._progress.seconds:7.1f} s  {what.get(change, change):10}  {plain(task.title)}"
        )
        again = f" (attempt {task.attempt})" if task.attempt > 1 else ""
        self._console.print(Text(f"{line}{again}"), soft_wrap=True)

    async def show(self, progress: "PlanProgress") -> None:
        """Show the progress until cancelled."""
        if self._quiet or not self._console.is_terminal:
            return
        from rich.live import Live  # noqa: PLC0415 (start-up time)

        with Live(_table(progress), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(_table(progress), refresh=True)
                    await asyncio.sleep(REFRESH_SECONDS)
            finally:
                live.update(_table(progress), refresh=True)


def _ordered(counts: Mapping[str, int]) -> str:
    known = [f"{counts[status]} {status}" for status in STATUSES if counts.get(status)]
    return ", ".join(known) or "nothing yet"


def _table(progress: "PlanProgress") -> Group:
    head = f"{progress.seconds:.1f} s: {_ordered(progress.counts)} of {progress.total} tasks"
    busy = Table(title=head, title_justify="left")
    for name in ("task", "agent", "attempt", "seconds"):
        busy.add_column(name, no_wrap=True, justify="right" if name == "seconds" else "left")
    now = progress.started + progress.seconds
    working = sorted(progress.working.items(), key=lambda one: one[1][2])
    for (agent, _), (title, attempt, since) in working[:SHOWN_TASKS]:
        busy.add_row(Text(plain(title)), Text(agent), str(attempt), f"{now - since:.1f}")
    if len(working) > SHOWN_TASKS:
        busy.add_row(f"and {len(working) - SHOWN_TASKS} more", "", "", "")
    return Group(busy)


async def _outcome(run: "PlanRun", status: str) -> dict[str, Any]:
    """All of it as JSON data; seconds are wall time of this run."""
    progress = run.progress
    return {
        "plan_id": run.plan_id,
        "status": status,
        "tasks": {"total": progress.total, "by_status": progress.counts},
        "seconds": round(progress.seconds, 3),
        "resumed": progress.resumed,
        "completed_before": progress.found,
        "attempts": dict(progress.changes),
        "notes": progress.notes,
        "failures": [] if status == "completed" else await run.failures(),
    }


def _print_outcome(console: Console, outcome: Mapping[str, Any], data: Path, as_json: bool) -> None:
    if as_json:
        console.print(Text(json_line(outcome)), soft_wrap=True)
        return
    for failure in outcome["failures"]:
        _print_failure(console, failure)
    for note in outcome["notes"]:
        console.print(Text(f"note: {plain(note)}"), soft_wrap=True)
    plan_id, counts = outcome["plan_id"], outcome["tasks"]["by_status"]
    verdict = outcome["status"] if outcome["status"] != "running" else "stuck"
    before = f" ({outcome['completed_before']} before)" if outcome["resumed"] else ""
    console.print(
        Text(f"\nplan {plan_id}: "),
        Text(verdict, style="bold green" if verdict == "completed" else "bold red"),
        Text(f" in {outcome['seconds']:.1f} s: {_ordered(counts)}{before}"),
        sep="",
        soft_wrap=True,
    )
    listed = ["agent-orchestration", "call", "list_tasks", f"parent_id={plan_id}"]
    console.print(Text(f"tasks: {shlex.join([*listed, '--data', str(data)])}"), soft_wrap=True)
    if verdict == "stuck":
        words = ["agent-orchestration", "call", "cancel_task", f"task_id={plan_id}"]
        console.print(Text(f"give up: {shlex.join([*words, '--data', str(data)])}"), soft_wrap=True)
    if outcome["failures"]:
        task_id = outcome["failures"][0]["task"]["id"]
        words = ["agent-orchestration", "call", "explain_task", f"task_id={task_id}"]
        console.print(Text(f"more: {shlex.join([*words, '--data', str(data)])}"), soft_wrap=True)


def _print_failure(console: Console, failure: Mapping[str, Any]) -> None:
    task = failure["task"]
    console.print(Text(f"\n{plain(task['title'])} ({task['id']})", style="bold red"))
    console.print(Text(f"  {plain(failure['summary'])}"), soft_wrap=True)
    if failure.get("next_step"):
        console.print(Text(f"  to move it: {plain(failure['next_step'])}"), soft_wrap=True)
    command = task.get("payload")
    if isinstance(command, dict) and "command" in command:
        console.print(Text(f"  command: {plain(json.dumps(command['command']))}"), soft_wrap=True)
    if task.get("error"):
        console.print(Text(f"  {task['error_type']}:"))
        for line in plain(task["error"]).splitlines()[-TAIL_LINES:]:
            console.print(Text(f"  | {line}"), soft_wrap=True)
    for event in failure["events"]:
        at = str(event["at"])[11:23]
        console.print(
            Text(f"  {event['seq']:>6}  {at}  {event['type']} by {plain(event['actor'])}")
        )
