"""Making a plan known to the platform: capabilities, agents and tasks, safe to repeat."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec

from agent_orchestration.core.errors import Conflict, Rejected
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.plan import Plan, PlannedAgent
from agent_orchestration.workers.schedule import levels
from agent_orchestration.workers.wfformat import MAX_RUNTIME_SECONDS, WorkflowTask

T = TypeVar("T")

AT_ONCE = 32
DESCRIPTION_LENGTH = 2000
TITLE_LENGTH = 200
KNOWN = "MATCH (c:Capability) WHERE c.name IN $names RETURN c.name AS name"


class Payload(msgspec.Struct, frozen=True):
    """The payload of a replayed task; `replay` tells it from work that is really to be done."""

    workflow: str
    task: str
    runtime_seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_RUNTIME_SECONDS)]
    replay: bool = False


def run_label(plan: Plan) -> str:
    """The label of the run's tasks and agents, as the graph shows it."""
    return f"run={plan.run_id}"


async def publish(call: PatientCalls, plan: Plan) -> None:
    """Define the capabilities, register the agents, create the tasks, parents first.

    Repeating it with the same run id and workflow changes nothing; raises `Rejected` where the run
    id belongs to another workflow.
    """
    programs = await _undefined(call, plan.workflow.capabilities)
    await _for_each(programs.items(), lambda item: _define(call, *item))
    await _for_each(plan.agents, lambda agent: _register(call, plan, agent))
    for level in levels(plan.workflow.tasks):
        await _for_each(level, lambda task: _create(call, plan, task))


async def _for_each(items: Iterable[T], function: Callable[[T], Awaitable[None]]) -> None:
    """Call the function with every item, at most `AT_ONCE` at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with slots:
            await function(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


async def _undefined(call: PatientCalls, programs: dict[str, str]) -> dict[str, str]:
    """The capabilities that the platform does not know: a description already there stays."""
    answer = await call("read_cypher", query=KNOWN, params={"names": list(programs)})
    known = {row["name"] for row in answer["rows"]}
    return {name: program for name, program in programs.items() if name not in known}


async def _define(call: PatientCalls, name: str, program: str) -> None:
    description = f"Runs the recorded program: {_printable(program)}"[:DESCRIPTION_LENGTH]
    await call("define_capability", name=name, category="program", description=description)


async def _register(call: PatientCalls, plan: Plan, agent: PlannedAgent) -> None:
    await call(
        "register_agent",
        id=agent.id,
        name=agent.name,
        kind="function",
        capabilities=[{"name": name, "level": 1.0} for name in agent.capabilities],
        dedicated=True,
        labels={"run": plan.run_id},
        max_concurrency=1,
        idempotency_key=f"{agent.id}:register",
    )


async def _create(call: PatientCalls, plan: Plan, task: WorkflowTask) -> None:
    task_id = plan.ids[task.id]
    made = Payload(plan.workflow.name, task.id, task.runtime_seconds, replay=True)
    payload = msgspec.to_builtins(made)
    try:
        await call(
            "create_task",
            id=task_id,
            title=_printable(task.name)[:TITLE_LENGTH],
            requires=[{"capability": task.capability, "level": 1.0}],
            depends_on=[plan.ids[parent] for parent in task.parents],
            payload=payload,
            labels={"run": plan.run_id, "workflow": _printable(plan.workflow.name)[:TITLE_LENGTH]},
            idempotency_key=f"{task_id}:create",
        )
    except (Conflict, Rejected) as error:
        if not isinstance(error, Conflict) and error.code != "already_exists":
            raise
        await _check_same(call, plan, task_id, payload)


async def _check_same(
    call: PatientCalls, plan: Plan, task_id: str, payload: dict[str, Any]
) -> None:
    """An older task with the id is fine when this run created it."""
    answer = await call("get_task", task_id=task_id)
    if answer["task"].get("payload") != payload:
        reason = (
            f"--run-id: {plan.run_id} was used for another workflow (task {task_id} differs);"
            " choose another run id"
        )
        raise Rejected("run_id_used", reason, field="run_id", task_id=task_id)


def _printable(text: str) -> str:
    """On one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "unnamed"
