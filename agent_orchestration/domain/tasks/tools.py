"""Tools about tasks: for those who want work done. See `worker_tools.py` for those who do it."""

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agent_orchestration.core.tool import Arguments, Gateway, Role, tool
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
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    CancelTask,
    CreateTask,
    DependencySpec,
    RequirementSpec,
)
from agent_orchestration.domain.tasks.explain import explanation
from agent_orchestration.domain.tasks.model import EdgePolicy, RetryPolicy, TaskStatus
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
    "report_progress",
    "start_task",
    "wait_for_tasks",
]

FINISHED = ("completed", "failed", "cancelled")


class RequirementArgument(Arguments):
    """A required capability and its least level."""

    capability: Annotated[Id, Field(description="e.g. `python`")]
    level: float = Field(0.0, ge=0, le=1, description="0 to 1")


class DependencyArgument(Arguments):
    """A task to wait for; its id alone will do."""

    task_id: Id
    on_failure: Annotated[
        EdgePolicy,
        Field(
            description="when it fails or is cancelled: stay blocked, cancel this, "
            "or continue as if it had completed"
        ),
    ] = "block"

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: Any) -> Any:
        return {"task_id": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Text or object; told apart here, so that an error names the field that is wrong."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class RetryArgument(Arguments):
    """What follows a failed attempt: another one, later and later."""

    max_attempts: int = Field(0, ge=0, le=1_000_000, description="0: no limit")
    initial_seconds: float = Field(1.0, ge=0, le=86_400)
    factor: int = Field(2, ge=1, le=100)
    max_seconds: float | None = Field(
        None, ge=0, le=31_536_000, description="default 100 x initial"
    )
    non_retryable: list[Line] = Field([], max_length=50, description="error types that end it")


@tool(title="Create a task", role=Role.OPERATOR, toolsets=("orchestrate",))
async def create_task(
    gateway: Gateway,
    title: Annotated[Title, Field(description="what is to be done, in one line")],
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    description: Annotated[Text | None, Field(description="all that one has to know")] = None,
    requires: Annotated[
        list[RequirementArgument] | None,
        Field(max_length=50, description='e.g. [{"capability": "python", "level": 0.5}]'),
    ] = None,
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
    retry: Annotated[
        RetryArgument | None,
        Field(description="what follows a failed attempt (default: retried without limit)"),
    ] = None,
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
        requires=tuple(
            RequirementSpec(one.capability, round(one.level * 1000)) for one in requires or ()
        ),
        depends_on=tuple(DependencySpec(one.task_id, one.on_failure) for one in depends_on or ()),
        priority=priority,
        labels=labels or {},
        payload=json_text(payload, "payload"),
        lease_seconds=lease_seconds,
        retry=_retry(retry or RetryArgument.model_construct()),
    )
    result = await gateway.submit(command, key=idempotency_key)
    answer = await task_answer(gateway, result.data["task_id"], result.seq)
    return CreatedTask(**answer, unstaffed=result.data["unstaffed"])


def _retry(retry: RetryArgument) -> RetryPolicy:
    initial = round(retry.initial_seconds * 1000)
    longest = 100 * initial if retry.max_seconds is None else round(retry.max_seconds * 1000)
    return RetryPolicy(
        initial, retry.factor, longest, retry.max_attempts, tuple(retry.non_retryable)
    )


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
    toolsets=("orchestrate", "inspect"),
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
