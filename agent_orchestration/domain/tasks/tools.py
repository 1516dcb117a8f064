"""Tools about tasks: for those who want work done. See `worker_tools.py` for those who do it."""

from typing import Annotated, Any

from pydantic import Field

from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import (
    Cursor,
    Filter,
    Id,
    Key,
    LabelMap,
    LeaseSeconds,
    Line,
    PageLimit,
    Priority,
    Text,
    Title,
    json_text,
)
from agent_orchestration.domain.tasks.arguments import (
    DependencyArgument,
    Requires,
    Retry,
    dependency_specs,
    requirement_specs,
    retry_policy,
)
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    CancelTask,
    CreateTask,
)
from agent_orchestration.domain.tasks.coordination_tools import plan_goal, work_together
from agent_orchestration.domain.tasks.explain import explanation
from agent_orchestration.domain.tasks.model import TaskStatus
from agent_orchestration.domain.tasks.views import (
    CreatedTask,
    Explanation,
    HeldTask,
    TaskAnswer,
    TaskLine,
    Tasks,
    WaitedTasks,
    task_answer,
)
from agent_orchestration.domain.tasks.worker_tools import (
    TaskId,
    claim_task,
    complete_task,
    fail_task,
    held_answer,
    report_progress,
    start_task,
)

__all__ = [
    "assign_task",
    "cancel_task",
    "claim_task",
    "complete_task",
    "create_task",
    "explain_task",
    "fail_task",
    "get_task",
    "list_tasks",
    "plan_goal",
    "report_progress",
    "start_task",
    "wait_for_tasks",
    "work_together",
]

FINISHED = ("completed", "failed", "cancelled")


@tool(title="Create a task", role=Role.OPERATOR, toolsets=("orchestrate",))
async def create_task(
    gateway: Gateway,
    title: Annotated[Title, Field(description="what is to be done, in one line")],
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    description: Annotated[Text | None, Field(description="all that one has to know")] = None,
    requires: Requires = None,
    depends_on: Annotated[
        list[DependencyArgument] | None,
        Field(max_length=1000, description="ids of tasks that must complete first"),
    ] = None,
    priority: Annotated[Priority, Field(description="1 is most urgent, 5 least")] = 3,
    payload: Annotated[Any, Field(description="JSON for whoever does it, up to 10 MB")] = None,
    labels: LabelMap | None = None,
    lease_seconds: Annotated[
        LeaseSeconds, Field(description="how long a holder may be silent")
    ] = 60,
    retry: Retry = None,
    agent_id: Annotated[Id | None, Field(description="only this agent may claim the task")] = None,
    team_id: Annotated[Id | None, Field(description="only its members may claim the task")] = None,
    idempotency_key: Key | None = None,
) -> CreatedTask:
    """Add a piece of work. Agents that have the required capabilities can claim it once every
    task it depends on has completed.

    `unstaffed` names required capabilities that nobody has yet; the task waits all the same.
    """
    command = CreateTask(
        task_id=id,
        title=title,
        description=description,
        requires=requirement_specs(requires),
        depends_on=dependency_specs(depends_on, "block"),
        priority=priority,
        labels=labels or {},
        payload=json_text(payload, "payload"),
        lease_seconds=lease_seconds,
        retry=retry_policy(retry),
        agent_id=agent_id,
        team_id=team_id,
    )
    result = await gateway.submit(command, key=idempotency_key)
    answer = await task_answer(gateway, result.data["task_id"], result.seq)
    return CreatedTask(**answer, unstaffed=result.data["unstaffed"])


@tool(title="Assign a task", role=Role.OPERATOR, toolsets=("orchestrate",))
async def assign_task(
    gateway: Gateway,
    task_id: TaskId,
    agent_id: Annotated[Id, Field(description="who is to do it")],
    lease_seconds: Annotated[
        LeaseSeconds | None, Field(description="default: what the task says")
    ] = None,
    idempotency_key: Key | None = None,
) -> HeldTask:
    """Give a ready task to a certain agent, which then has to `start_task` it."""
    command = AssignTask(task_id=task_id, agent_id=agent_id, lease_seconds=lease_seconds)
    return await held_answer(gateway, await gateway.submit(command, key=idempotency_key), task_id)


@tool(title="Cancel a task", role=Role.OPERATOR, toolsets=("orchestrate",), destructive=True)
async def cancel_task(
    gateway: Gateway,
    task_id: TaskId,
    reason: Annotated[Line | None, Field(description="why, for people")] = None,
    idempotency_key: Key | None = None,
) -> TaskAnswer:
    """Cancel an unfinished task. Whoever holds it learns so from its next heartbeat.

    Tasks that depend on it stay blocked, are cancelled or continue, as their edge says.
    """
    command = CancelTask(task_id=task_id, reason=reason)
    result = await gateway.submit(command, key=idempotency_key)
    return TaskAnswer(**await task_answer(gateway, task_id, result.seq))


@tool(
    title="Get a task",
    role=Role.VIEWER,
    toolsets=("orchestrate", "worker", "inspect"),
    read_only=True,
)
async def get_task(gateway: Gateway, task_id: TaskId) -> TaskAnswer:
    """One task with everything known of it: status, holder, dependencies, progress, result."""
    return TaskAnswer(**await task_answer(gateway, task_id, 0))


@tool(
    title="List tasks",
    role=Role.VIEWER,
    toolsets=("orchestrate", "inspect"),
    read_only=True,
)
async def list_tasks(
    gateway: Gateway,
    status: Annotated[TaskStatus | None, Field(description="only in this status")] = None,
    parent_id: Annotated[Id | None, Field(description="only the tasks of this plan")] = None,
    team_id: Annotated[Id | None, Field(description="only this team's tasks")] = None,
    agent_id: Annotated[Id | None, Field(description="who holds or held it")] = None,
    capability: Annotated[Id | None, Field(description="what it requires")] = None,
    label: Annotated[Filter | None, Field(description="key=value")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Tasks:
    """List tasks page by page, in order of id."""
    rows = await gateway.ask(
        "tasks",
        status=status,
        parent_id=parent_id,
        team_id=team_id,
        agent_id=agent_id,
        capability=capability,
        label=label,
        after_id=cursor or "",
        limit=limit + 1,
    )
    found = [TaskLine.model_validate(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Tasks(tasks=found, next_cursor=more, stale=rows.stale or None)


@tool(
    title="Wait for tasks",
    role=Role.VIEWER,
    toolsets=("orchestrate",),
    read_only=True,
)
async def wait_for_tasks(
    gateway: Gateway,
    ids: Annotated[list[Id], Field(min_length=1, max_length=200, description="of the tasks")],
    seconds: Annotated[float, Field(ge=0, le=50, description="at most so long")] = 30.0,
) -> WaitedTasks:
    """Wait until all of these tasks are finished, or the time is over; call again to go on."""
    remaining, seq, asked = seconds, 0, sorted(set(ids))
    while True:
        rows = await gateway.ask("task_statuses", ids=asked)
        found = [TaskLine.model_validate(row) for row in rows]
        finished = all(task.status in FINISHED for task in found)
        before, seq = seq, rows.seq
        if finished or remaining <= 0:
            unknown = sorted({*asked} - {task.id for task in found})
            return WaitedTasks(
                tasks=found, finished=finished and not unknown, unknown=unknown, seq=seq
            )
        remaining = await gateway.changed(max(before, seq), remaining)


@tool(
    title="Explain a task",
    role=Role.VIEWER,
    toolsets=("orchestrate", "inspect"),
    read_only=True,
)
async def explain_task(gateway: Gateway, task_id: TaskId) -> Explanation:
    """Why is this task as it is? The events behind its state, with who caused them, what it waits
    for, and the next step that would move it."""
    answer = await task_answer(gateway, task_id, 0)
    return await explanation(gateway, answer["task"], answer["seq"])
