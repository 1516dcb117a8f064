"""Why a task is as it is: read from the graph, put in words."""

from collections import Counter
from typing import Any

from agent_orchestration.core.tool import Gateway
from agent_orchestration.domain.tasks.views import Explanation, TaskView, WaitsFor, event_view

Reading = tuple[str, str | None, list[WaitsFor]]
MOST_STEPS = 20
MOST_SHOWN = 50


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
    if task.children:
        return await _plan(gateway, task)
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


async def _plan(gateway: Gateway, plan: TaskView) -> Reading:
    """How far it is, and what runs, waits and failed."""
    rows = await gateway.ask("plan_progress", plan_id=plan.id)
    numbers = Counter({row["status"]: row["tasks"] for row in rows})
    failures: list[dict[str, Any]] = []
    if plan.failed_children:
        failures = await gateway.ask("plan_failures", plan_id=plan.id)
    lost = f"; the first that did not complete: {_failure(failures[0])}" if failures else ""
    if plan.status != "running":
        reason = f": {plan.reason}" if plan.reason else ""
        done = f"{plan.completed_children} of {plan.children} tasks are completed"
        return f"The plan is {plan.status}{reason}. {done}{lost}.", None, []
    open_ones = [
        f"{numbers[status]} {status}"
        for status in ("running", "assigned", "ready", "blocked")
        if numbers[status]
    ]
    done = f"{plan.completed_children} of {plan.children} tasks are completed"
    failed = f", {plan.failed_children} failed or cancelled" if plan.failed_children else ""
    summary = f"The plan is running: {done}{failed}, {', '.join(open_ones)}{lost}."
    frontier = await gateway.ask("plan_frontier", plan_id=plan.id)
    if not frontier:
        outside = await gateway.ask("plan_waits", plan_id=plan.id)
        named = ", ".join(row["id"] for row in outside[:5])
        return summary, f"complete {named} outside of the plan", _dependencies_at(outside, 1)
    waits = [WaitsFor(what="task", id=row["id"], detail=_standing(row)) for row in frontier]
    return summary, _next_step(frontier), waits


def _failure(row: dict[str, Any]) -> str:
    why = row["error"] or row["reason"]
    return f"{row['id']} {row['status']}" + (f" ({why[:200]})" if why else "")


def _standing(row: dict[str, Any]) -> str:
    """What one of the plan's tasks is at."""
    text = f"{row['title']} is {row['status']}"
    if row["status"] in ("running", "assigned"):
        until = f" until {row['lease_until'].isoformat()}" if row["lease_until"] else ""
        return f"{text}, held by {row['agent_id']} in attempt {row['attempt']}{until}"
    if row["retry_at"] is not None:
        return f"{text} until its retry at {row['retry_at'].isoformat()} ({row['reason']})"
    return f"{text} ({row['reason']})" if row["reason"] else text


def _next_step(frontier: list[dict[str, Any]]) -> str:
    """What moves the plan; its tasks come as `plan_frontier` orders them."""
    by_status = {row["status"]: row for row in reversed(frontier)}
    if held := by_status.get("running") or by_status.get("assigned"):
        return f"{held['agent_id']} has to complete or fail {held['id']}"
    if ready := by_status.get("ready"):
        return f"an agent has to claim {ready['id']}; explain_task of it says who could"
    later = [row for row in frontier if row["retry_at"] is not None]
    if later:
        first = min(later, key=lambda row: (row["retry_at"], row["id"]))
        return f"{first['id']} is ready again at {first['retry_at'].isoformat()}"
    return (
        "nothing: what is left waits for tasks outside the plan or in vain: cancel"
        f" {frontier[0]['id']}, or the plan"
    )


async def _blocked(gateway: Gateway, task: TaskView) -> Reading:
    dead = [d.task_id for d in task.depends_on if d.status in ("failed", "cancelled")]
    blocking = [d.task_id for d in task.depends_on if d.task_id in dead and d.on_failure == "block"]
    waits = await _dependencies(gateway, task)
    if blocking:
        named = ", ".join(blocking[:5])
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


async def _dependencies(gateway: Gateway, task: TaskView) -> list[WaitsFor]:
    """What it waits for through any number of steps, the nearest first.

    Asked step by step: there are more ways through a dense plan than can be counted.
    """
    found: dict[str, WaitsFor] = {}
    asked = [task.id]
    for step in range(1, MOST_STEPS + 1):
        rows = await gateway.ask("unfinished_dependencies", ids=asked)
        asked = [row["id"] for row in rows if row["id"] not in found]
        for one in _dependencies_at(rows, step):
            found.setdefault(one.id or "", one)
        if not asked or len(found) >= MOST_SHOWN:
            break
    return list(found.values())[:MOST_SHOWN]


def _dependencies_at(rows: list[dict[str, Any]], step: int) -> list[WaitsFor]:
    away = f", {step} steps away" if step > 1 else ""
    return [
        WaitsFor(
            what="dependency",
            id=row["id"],
            detail=f"{row['title']} is {row['status']}"
            + (f" ({row['reason']})" if row["reason"] else "")
            + away,
        )
        for row in rows
    ]


async def _ready_for_one(gateway: Gateway, task: TaskView, agent_id: str) -> Reading:
    """Only one agent may claim it: what keeps that agent from it."""
    [agent] = await gateway.ask("agent", agent_id=agent_id)
    levels = {one["name"]: one["level"] for one in agent["capabilities"]}
    lacking = [n.capability for n in task.requires if levels.get(n.capability, -1.0) < n.level]
    busy = agent["active"] >= agent["max_concurrency"]
    remedy = f"{agent_id} claims it"
    if agent["status"] == "retired":
        remedy = "nothing: cancel it, and create it anew for another agent"
    elif lacking:
        remedy = f"give {agent_id} {', '.join(lacking)} at that level with update_agent"
    elif task.team_id not in (None, *agent["team_ids"]):
        remedy = f"add {agent_id} to team {task.team_id} with update_team"
    elif busy:
        remedy = f"{agent_id} ends one of its tasks and claims it"
    summary = f"It is ready for agent {agent_id} only, which is {agent['status']}."
    if busy:
        summary = f"It waits for agent {agent_id}, which alone may claim it, to be free."
    detail = f"{agent['status']}, {agent['active']} of {agent['max_concurrency']} tasks"
    return (
        summary,
        remedy,
        [WaitsFor(what="agent", id=agent_id, detail=f"{agent['name']} is {detail}")],
    )


async def _ready(gateway: Gateway, task: TaskView) -> Reading:
    if task.meant_for is not None:
        return await _ready_for_one(gateway, task, task.meant_for)
    levels = {need.capability: need.level for need in task.requires}
    named = ", ".join(f"{name} at {level:g}" for name, level in levels.items())
    wanted: dict[str, Any] = {"names": sorted(levels), "levels": levels, "limit": 20}
    if task.team_id is not None:
        member = f"member of team {task.team_id}"
        who = f"{member} with {named}" if named else member
        able = await gateway.ask("capable_members", team_id=task.team_id, **wanted)
        remedy = "add such a member with update_team"
    elif not levels:
        return "It is ready and anybody may claim it.", "an agent claims it", []
    else:
        who = f"agent with {named}"
        able = await gateway.ask("capable_agents", available=False, **wanted)
        remedy = "register an agent with these capabilities, or update one"
    if not able:
        waits = [
            WaitsFor(what="capability", id=name, detail=f"nobody has all of {named}")
            for name in levels
        ]
        return f"It is ready, but there is no {who}.", remedy, waits
    waits = [
        WaitsFor(
            what="agent",
            id=row["id"],
            detail=f"{row['name']} is {row['status']},"
            f" {row['active']} of {row['max_concurrency']} tasks",
        )
        for row in able
    ]
    article = "an" if who.startswith("agent") else "a"
    return f"It is ready for {article} {who}.", "one of these agents claims it", waits


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
