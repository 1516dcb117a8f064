"""Tools for those who carry out tasks."""

from typing import Annotated, Any

from pydantic import Field

from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import CommandResult
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import Attempt, Id, Key, LeaseSeconds, Line, Text, json_text
from agent_orchestration.domain.tasks.commands import (
    ClaimTask,
    CompleteTask,
    FailTask,
    ReportProgress,
    StartTask,
)
from agent_orchestration.domain.tasks.views import (
    ClaimedTask,
    HeldTask,
    Renewed,
    Reported,
    decided_view,
    task_answer,
)

TaskId = Annotated[Id, Field(description="the task's id")]
HolderId = Annotated[Id, Field(description="the agent that holds the task")]
TaskAttempt = Annotated[Attempt, Field(description="the `attempt` that the claim answered")]
Brief = Annotated[
    bool, Field(description="true: answer without the task, and before queries may show the change")
]


async def held_answer(gateway: Gateway, result: CommandResult, task_id: str) -> HeldTask:
    """The task with attempt and lease after a command about it."""
    answer = await task_answer(gateway, task_id, result.seq)
    until = result.data.get("lease_until")
    return HeldTask(
        **answer,
        attempt=result.data["attempt"],
        lease_until=answer["task"].lease_until if until is None else to_datetime(until),
    )


@tool(title="Claim a task", role=Role.AGENT, toolsets=("worker",))
async def claim_task(
    gateway: Gateway,
    agent_id: Annotated[Id, Field(description="who asks for work")],
    wait_seconds: Annotated[
        float, Field(ge=0, le=50, description="wait so long for work to turn up")
    ] = 0.0,
    lease_seconds: Annotated[
        LeaseSeconds | None, Field(description="default: what the task says")
    ] = None,
    start: Annotated[bool, Field(description="false: call start_task yourself")] = True,
    brief: Annotated[
        bool, Field(description="true: answer without what other tasks have to do with it")
    ] = False,
    idempotency_key: Key | None = None,
) -> ClaimedTask:
    """Take the best ready task that this agent can do: capabilities met, then priority, then age.

    Remember `attempt`: it goes with everything you say of the task. Until `lease_until` the task
    is yours; each report and heartbeat renews the lease. Without work, `task` is absent.
    """
    command = ClaimTask(agent_id=agent_id, lease_seconds=lease_seconds, start=start)
    result = await gateway.submit_waiting(
        command, agent_id=agent_id, seconds=wait_seconds, key=idempotency_key
    )
    if result.status != "accepted":
        return ClaimedTask(reason=result.data.get("reason"), seq=result.seq)
    return ClaimedTask(
        **await _claimed(gateway, result, brief=brief),
        attempt=result.data["attempt"],
        lease_until=to_datetime(result.data["lease_until"]),
    )


async def _claimed(gateway: Gateway, result: CommandResult, *, brief: bool) -> dict[str, Any]:
    """The task: brief, as it was decided. Whoever asks afterwards sees what it depends on, too."""
    if result.entity is None or not brief:
        return await task_answer(gateway, result.data["task_id"], result.seq)
    reached = await gateway.reached(result.seq)
    return {
        "task": decided_view(result.entity),
        "seq": result.seq,
        "stale": None if reached else True,
    }


async def _reported(
    gateway: Gateway, outcome: CommandResult, task_id: str, *, brief: bool
) -> dict[str, Any]:
    if brief:
        gateway.promise(outcome.seq)
        return {"seq": outcome.seq}
    return await task_answer(gateway, task_id, outcome.seq)


@tool(title="Start a task", role=Role.AGENT, toolsets=("worker",))
async def start_task(
    gateway: Gateway,
    task_id: TaskId,
    agent_id: HolderId,
    attempt: TaskAttempt,
    idempotency_key: Key | None = None,
) -> HeldTask:
    """Begin a task that was assigned to you, or claimed with start=false."""
    command = StartTask(task_id=task_id, agent_id=agent_id, attempt=attempt)
    return await held_answer(gateway, await gateway.submit(command, key=idempotency_key), task_id)


@tool(title="Report progress", role=Role.AGENT, toolsets=("worker",))
async def report_progress(
    gateway: Gateway,
    task_id: TaskId,
    agent_id: HolderId,
    attempt: TaskAttempt,
    progress: Annotated[Any, Field(description="any JSON; a later attempt can read it")],
    brief: Brief = False,
    idempotency_key: Key | None = None,
) -> Renewed:
    """Say how far you are. Renews the lease."""
    text = json_text(progress, "progress")
    if text is None:
        raise Rejected("invalid_argument", "progress: is required", field="progress")
    command = ReportProgress(task_id=task_id, agent_id=agent_id, attempt=attempt, progress=text)
    outcome = await gateway.submit(command, key=idempotency_key)
    return Renewed(
        **await _reported(gateway, outcome, task_id, brief=brief),
        attempt=outcome.data["attempt"],
        lease_until=to_datetime(outcome.data["lease_until"]),
    )


@tool(title="Complete a task", role=Role.AGENT, toolsets=("worker",))
async def complete_task(
    gateway: Gateway,
    task_id: TaskId,
    agent_id: HolderId,
    attempt: TaskAttempt,
    result: Annotated[Any, Field(description="JSON, up to 10 MB")] = None,
    brief: Brief = False,
    idempotency_key: Key | None = None,
) -> Reported:
    """The task is done. Tasks that wait for it may go on."""
    command = CompleteTask(
        task_id=task_id, agent_id=agent_id, attempt=attempt, result=json_text(result, "result")
    )
    outcome = await gateway.submit(command, key=idempotency_key)
    return Reported(**await _reported(gateway, outcome, task_id, brief=brief))


@tool(title="Fail a task", role=Role.AGENT, toolsets=("worker",))
async def fail_task(
    gateway: Gateway,
    task_id: TaskId,
    agent_id: HolderId,
    attempt: TaskAttempt,
    error: Annotated[Text, Field(description="what went wrong, for people")],
    error_type: Annotated[
        Line,
        Field(
            description="what kind, for the retry policy's non_retryable; `worker_stopped` gives"
            " the task back: it is ready at once, and the attempt does not count"
        ),
    ] = "error",
    retryable: Annotated[bool, Field(description="false: another attempt is pointless")] = True,
    retry_after_seconds: Annotated[
        float | None, Field(ge=0, le=31_536_000, description="instead of the policy's delay")
    ] = None,
    brief: Brief = False,
    idempotency_key: Key | None = None,
) -> Reported:
    """The attempt failed. By the task's retry policy another attempt follows, or it has failed."""
    command = FailTask(
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        error=error,
        error_type=error_type,
        retryable=retryable,
        retry_after_ms=None if retry_after_seconds is None else round(retry_after_seconds * 1000),
    )
    outcome = await gateway.submit(command, key=idempotency_key)
    return Reported(**await _reported(gateway, outcome, task_id, brief=brief))
