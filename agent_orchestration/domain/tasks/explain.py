"""Why a task is as it is: read from the graph, put in words."""

from typing import Any

from agent_orchestration.core.tool import Gateway
from agent_orchestration.domain.tasks.views import Explanation, TaskView, WaitsFor, event_view

Reading = tuple[str, str | None, list[WaitsFor]]
STEPS = 20
MOST = 50


async def explanation(gateway: Gateway, task: TaskView, seq: int) -> Explanation:
    """The task, the events behind it, what it waits for, and the next step."""
    filters: dict[str, Any] = {"after": 0, "type": None, "actor": None, "limit": 200}
    rows = await gateway.ask("history_of_task", at_least=seq, task_id=task.id, **filters)
    summary, next_step, waits_for = await _reading(gateway, task)
    return Explanation(
        task=task,
        summary=summary,
        next_step=next_step,
        waits_for=waits_for,
        events=[event_view(row) for row in rows],
        seq=max(seq, rows.seq),
        stale=rows.stale or None,
    )


async def _reading(gateway: Gateway, task: TaskView) -> Reading:
    if task.status == "blocked" and task.retry_at is not None:
        at = task.retry_at.isoformat()
        wait = WaitsFor(what="time", detail=f"the retry at {at}")
        return (f"It waits for its next attempt: {task.reason}.", f"it is ready at {at}", [wait])
    if task.status == "blocked":
        return await _blocked(gateway, task)
    if task.status == "ready":
        return await _ready(gateway, task)
    if task.status in ("assigned", "running"):
        return _held(task)
    reason = f": {task.reason}" if task.reason else ""
    by = f" by {task.agent_id} in attempt {task.attempt}" if task.agent_id else ""
    return f"It is {task.status}{by}{reason}.", None, []


async def _blocked(gateway: Gateway, task: TaskView) -> Reading:
    rows = await _unfinished(gateway, task.id)
    waits = [
        WaitsFor(
            what="dependency",
            id=row["id"],
            detail=f"{row['title']} is {row['status']}"
            + (f" ({row['reason']})" if row["reason"] else "")
            + (f", {row['steps']} steps away" if row["steps"] > 1 else ""),
        )
        for row in rows
    ]
    dead = [d.task_id for d in task.depends_on if d.status in ("failed", "cancelled")]
    blocking = [d.task_id for d in task.depends_on if d.task_id in dead and d.on_failure == "block"]
    if blocking:
        named = ", ".join(blocking)
        return (
            f"It is blocked for good: {named} did not complete and the edge says block.",
            "cancel it, or create it anew without that dependency",
            waits,
        )
    open_ids = [d.task_id for d in task.depends_on if d.status not in ("completed", *dead)]
    return (
        f"It waits for {task.waiting_on} of {len(task.depends_on)} dependencies.",
        f"complete {', '.join(open_ids[:5])}",
        waits,
    )


async def _unfinished(gateway: Gateway, task_id: str) -> list[dict[str, Any]]:
    """What the task waits for, through up to `STEPS` steps, nearest first. Step by step, because
    the paths through a plan can be more than anybody can follow."""
    found: dict[str, dict[str, Any]] = {}
    ids = [task_id]
    for steps in range(1, STEPS + 1):
        rows = await gateway.ask("unfinished_dependencies", ids=ids, limit=MOST)
        ids = [row["id"] for row in rows if row["id"] not in found]
        for row in rows:
            found.setdefault(row["id"], {**row, "steps": steps})
        if not ids or len(found) >= MOST:
            break
    return list(found.values())[:MOST]


async def _ready(gateway: Gateway, task: TaskView) -> Reading:
    levels = {need.capability: need.level for need in task.requires}
    if not levels:
        return "It is ready and anybody may claim it.", "an agent claims it", []
    named = ", ".join(f"{name} at {level:g}" for name, level in levels.items())
    capable = await gateway.ask(
        "capable_agents", names=sorted(levels), levels=levels, available=False, limit=20
    )
    if not capable:
        waits = [
            WaitsFor(what="capability", id=name, detail=f"nobody has all of {named}")
            for name in levels
        ]
        return (
            f"It is ready, but no agent has {named}.",
            "register an agent with these capabilities, or update one",
            waits,
        )
    waits = [
        WaitsFor(
            what="agent",
            id=row["id"],
            detail=f"{row['name']} is {row['status']},"
            f" {row['active']} of {row['max_concurrency']} tasks",
        )
        for row in capable
    ]
    return f"It is ready for an agent with {named}.", "one of these agents claims it", waits


def _held(task: TaskView) -> Reading:
    until = task.lease_until.isoformat() if task.lease_until else "its lease ends"
    verb = "start it" if task.status == "assigned" else "complete or fail it"
    wait = WaitsFor(
        what="holder", id=task.agent_id, detail=f"attempt {task.attempt}, until {until}"
    )
    return (
        f"{task.agent_id} holds it in attempt {task.attempt} ({task.status}).",
        f"{task.agent_id} has to {verb}; silent past {until}, it loses the task",
        [wait],
    )
