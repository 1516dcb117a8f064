"""From a plan file to the platform: what is submitted, once, and who carries it out."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.core.errors import Conflict, NotFound, Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.plan_file import MAX_AGENTS, PLAN_ID_LENGTH, PlanFile, PlanTask
from agent_orchestration.workers.program_names import ID_LENGTH, ID_PATTERN, as_id

#: The label of a plan's first task that tells whether a file says the same as what was submitted.
DIGEST_LABEL = "plan-digest"
#: How a command fails by itself. A plan that says nothing else takes that for the end; an attempt
#: whose worker died is repeated.
COMMAND_FAILED = ("exit_code", "timeout", "cannot_start")
MOST_CAPABILITIES = 200
_NAME_LENGTH = 50


class StaffedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that works for a plan; levels are 0 to 1."""

    id: str
    name: str
    capabilities: dict[str, float]
    concurrency: int


def plan_id_of(plan: PlanFile, asked: str | None) -> str:
    """The id asked for, else the file's, else a new one that begins like the title."""
    if asked is not None:
        if not ID_PATTERN.fullmatch(asked) or len(asked) > PLAN_ID_LENGTH:
            problem = (
                f"use 1 to {PLAN_ID_LENGTH} letters, digits or . _ : - and begin with a letter or"
                " digit"
            )
            raise Rejected("invalid_argument", f"--plan-id: {asked!r}: {problem}", field="plan_id")
        return asked
    stem = re.sub(r"[^A-Za-z0-9]+", "-", plan.title).strip("-").lower()[:24].strip("-") or "plan"
    return plan.id or f"{stem}-{secrets.token_hex(3)}"


def submission(plan: PlanFile, plan_id: str, folder: Path) -> dict[str, Any]:
    """The arguments of `submit_plan`. Working directories are relative to `folder`."""
    tasks = [_task(plan, task, folder) for task in plan.tasks]
    arguments = {"id": plan_id, "title": plan.title, "tasks": tasks}
    if plan.description is not None:
        arguments["description"] = plan.description
    digest = hashlib.sha256(canonical(arguments)).hexdigest()[:32]
    tasks[0]["labels"] = {DIGEST_LABEL: digest}
    return arguments


def _task(plan: PlanFile, task: PlanTask, folder: Path) -> dict[str, Any]:
    defaults = plan.defaults
    requires = defaults.requires if task.requires is None else task.requires
    told: dict[str, Any] = {"id": task.id, "title": task.title or task.id}
    if task.description is not None:
        told["description"] = task.description
    if requires:
        told["requires"] = [{"capability": name, "level": requires[name]} for name in requires]
    if task.depends_on:
        told["depends_on"] = [
            {"task_id": one.task_id, "on_failure": one.on_failure or defaults.on_failure}
            for one in task.depends_on
        ]
    if (priority := task.priority or defaults.priority) is not None:
        told["priority"] = priority
    payload = task.payload if task.command is None else _command(plan, task, folder)
    if payload is not None:
        told["payload"] = payload
    if (retry := task.retry or defaults.retry) is not None:
        told["retry"] = retry.model_dump(exclude_none=True)
    elif task.command is not None:
        told["retry"] = {"non_retryable": list(COMMAND_FAILED)}
    return told


def _command(plan: PlanFile, task: PlanTask, folder: Path) -> dict[str, Any]:
    """The payload that a command agent carries out."""
    defaults = plan.defaults
    payload: dict[str, Any] = {
        "command": task.command,
        "cwd": str(folder / (task.cwd or defaults.cwd or ".")),
    }
    if env := {**(defaults.env or {}), **(task.env or {})}:
        payload["env"] = env
    if (seconds := task.timeout_seconds or defaults.timeout_seconds) is not None:
        payload["timeout_seconds"] = seconds
    return payload


def payloads(arguments: dict[str, Any]) -> dict[str, Any]:
    """Of a submission: the id of each task on the platform -> its payload."""
    return {f"{arguments['id']}.{task['id']}": task["payload"] for task in arguments["tasks"]}


async def find(call: PatientCalls, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The plan as a task, where it has been submitted before with the same content.

    `arguments` are those of `submission`. Raises `Conflict` where the id is another plan's.
    """
    plan_id, first = arguments["id"], arguments["tasks"][0]
    try:
        answer = await call("get_task", task_id=plan_id)
    except NotFound:
        return None
    if await _digest_of(call, f"{plan_id}.{first['id']}") != first["labels"][DIGEST_LABEL]:
        raise Conflict(
            "plan_changed",
            f"--plan-id: {plan_id} was submitted with other content, or from another folder; go on"
            " with that content from that folder, or choose another id",
            field="plan_id",
            plan_id=plan_id,
        )
    return answer["task"]


async def submit(call: PatientCalls, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Submit a plan once: the answer of `submit_plan`. `more` are further arguments of it."""
    key = f"{arguments['id']}:{arguments['tasks'][0]['labels'][DIGEST_LABEL]}"
    return await call("submit_plan", **arguments, **more, idempotency_key=key)


async def _digest_of(call: PatientCalls, first_task: str) -> str | None:
    """The digest that the plan of this task was submitted with."""
    try:
        answer = await call("get_task", task_id=first_task)
    except NotFound:
        return None
    labels = dict(label.split("=", 1) for label in answer["task"]["labels"])
    return labels.get(DIGEST_LABEL)


def staff(plan: PlanFile, plan_id: str, agents: int | None) -> list[StaffedAgent]:
    """Who carries out the plan: the agents of the file, or `agents` ones that can do everything.

    Ids follow from the plan's id, so a second run takes the place of the first. Raises `Rejected`
    where a task has no command or needs what none of them can do.
    """
    made = list(_named(plan, plan_id) if plan.agents and agents is None else ())
    made = made or list(_able(plan, plan_id, agents))
    if len({agent.id for agent in made}) < len(made):
        problem = "two agents would get the same id; rename one"
        raise Rejected("bad_plan", f"agents: {problem}", field="agents")
    if len(made) > MAX_AGENTS:
        problem = f"{len(made)} agents are too many; at most {MAX_AGENTS} are possible"
        raise Rejected("bad_plan", f"agents: {problem}", field="agents")
    if problems := list(unstaffed(plan, made)):
        raise Rejected("unstaffed", "; ".join(problems[:5]), problems=problems)
    return made


def _named(plan: PlanFile, plan_id: str) -> Iterator[StaffedAgent]:
    for agent in plan.agents:
        name = as_id(agent.name, _NAME_LENGTH)
        for number in range(1, agent.count + 1):
            more = agent.count > 1
            yield StaffedAgent(
                id=f"{plan_id}:{name}:{number}" if more else f"{plan_id}:{name}",
                name=f"{agent.name} {number}"[:256] if more else agent.name,
                capabilities=agent.capabilities,
                concurrency=agent.max_concurrency,
            )


def _able(plan: PlanFile, plan_id: str, agents: int | None) -> Iterator[StaffedAgent]:
    highest: dict[str, float] = {}
    for task in plan.tasks:
        for name, level in _requires(plan, task).items():
            highest[name] = max(level, highest.get(name, 0.0))
    if len(highest) > MOST_CAPABILITIES:
        problem = f"the tasks require {len(highest)} capabilities; an agent has {MOST_CAPABILITIES}"
        raise Rejected("bad_plan", f"agents: {problem} at most; list agents", field="agents")
    count = agents or min(len(plan.tasks), os.cpu_count() or 1)
    for number in range(1, count + 1):
        yield StaffedAgent(
            id=f"{plan_id}:agent:{number}"[:ID_LENGTH],
            name=f"command agent {number}",
            capabilities=dict.fromkeys(highest, 1.0),
            concurrency=1,
        )


def _requires(plan: PlanFile, task: PlanTask) -> dict[str, float]:
    own = plan.defaults.requires if task.requires is None else task.requires
    return own or {}


def not_run(plan: PlanFile) -> Iterator[str]:
    """In words, what `run` would not carry out though the plan may be submitted."""
    made = list(_named(plan, "plan") if plan.agents else _able(plan, "plan", 1))
    return unstaffed(plan, made)


def unstaffed(plan: PlanFile, agents: list[StaffedAgent]) -> Iterator[str]:
    """In words, each task that none of the agents can carry out."""
    able: dict[tuple[tuple[str, float], ...], bool] = {}
    for position, task in enumerate(plan.tasks):
        needs = _requires(plan, task)
        key = tuple(sorted(needs.items()))
        if key not in able:
            able[key] = any(
                all(agent.capabilities.get(name, -1.0) >= level for name, level in key)
                for agent in agents
            )
        if task.command is None:
            remedy = "has no command, so `run` cannot do it; give it one, or use `plan submit`"
            yield f"tasks[{position}] ({task.id}): {remedy}"
        elif not able[key]:
            named = ", ".join(f"{name} at {level:g}" for name, level in key)
            yield f"tasks[{position}] ({task.id}): no agent of the plan has {named}; add one"
