"""Decisions about tasks."""

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.guards import known, refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.index import AgentsByCapability
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    CancelTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    ExpireLease,
    FailTask,
    ReleaseTask,
    ReportProgress,
    StartTask,
)
from agent_orchestration.domain.tasks.events import (
    TaskAssigned,
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskLeaseExpired,
    TaskProgressed,
    TaskReleased,
    TaskStarted,
)
from agent_orchestration.domain.tasks.guards import (
    held_task,
    meant_agent,
    reachable_agent,
    refuse_unable,
    running_task,
    same_attempt,
    working_agent,
    wrong_status,
)
from agent_orchestration.domain.tasks.index import ReadyTasks
from agent_orchestration.domain.tasks.model import (
    HELD,
    WORKER_STOPPED,
    Dependency,
    Task,
    refuse_twice,
    requirements_of,
)
from agent_orchestration.domain.teams.guards import working_team


def create_task(state: TenantState, command: CreateTask, context: CommandContext) -> TaskCreated:
    """A new task; its id must be free and its dependencies known."""
    task_id = command.task_id or context.new_id("task")
    refuse_taken(state, Task, task_id)
    requires = requirements_of(command.requires)
    depends_on = tuple(sorted([Dependency(d.task_id, d.on_failure) for d in command.depends_on]))
    refuse_twice("depends_on", [d.task_id for d in depends_on])
    unmet, reason = _unmet(state, task_id, depends_on) if depends_on else ((), None)
    if command.team_id is not None:
        working_team(state, command.team_id)
    agent = None
    if command.agent_id is not None:
        agent = meant_agent(state, command.agent_id, command.team_id)
    needs = [(need.capability, need.level) for need in requires]
    return TaskCreated(
        task_id=task_id,
        title=command.title,
        description=command.description,
        requires=requires,
        depends_on=depends_on,
        unmet=unmet,
        unstaffed=state.index(AgentsByCapability).unstaffed(needs)
        if agent is None
        else agent.lacks(needs),
        priority=command.priority,
        labels=command.labels,
        payload=command.payload,
        lease_seconds=command.lease_seconds,
        retry=command.retry,
        reason=reason,
        team_id=command.team_id,
        agent_id=command.agent_id,
    )


def claim_task(
    state: TenantState, command: ClaimTask, context: CommandContext
) -> TaskClaimed | Nothing:
    """The best ready task: requirements met, then priority, then age."""
    agent = working_agent(state, command.agent_id)
    if agent.active >= agent.max_concurrency:
        return Nothing({"reason": "at_capacity", "active": agent.active})
    task_id = state.index(ReadyTasks).best(agent.abilities)
    task = state.get(Task, task_id) if task_id else None
    if task is None:
        return Nothing({"reason": "no_ready_task", "levels": agent.abilities})
    lease = command.lease_seconds or task.lease_seconds
    return TaskClaimed(
        task_id=task.id,
        agent_id=agent.id,
        attempt=task.attempt + 1,
        lease_until=context.at + lease * 1000,
        lease_seconds=lease,
        started=command.start,
    )


def assign_task(
    state: TenantState, command: AssignTask, context: CommandContext
) -> TaskAssigned | Nothing:
    """Push a ready task to an agent that can do it and has room."""
    task = known(state, Task, command.task_id)
    if task.held_by(command.agent_id):
        return Nothing({"task_id": task.id, "agent_id": command.agent_id, "attempt": task.attempt})
    if task.status != "ready":
        raise wrong_status(task, "assigned to an agent", "ready")
    agent = reachable_agent(state, command.agent_id)
    refuse_unable(task, agent)
    if agent.active >= agent.max_concurrency:
        raise Rejected(
            "at_capacity",
            f"agent_id: agent {agent.id} already holds {agent.active} tasks, its limit; wait, or"
            " raise max_concurrency",
            field="agent_id",
        )
    lease = command.lease_seconds or task.lease_seconds
    return TaskAssigned(
        task_id=task.id,
        agent_id=agent.id,
        attempt=task.attempt + 1,
        lease_until=context.at + lease * 1000,
        lease_seconds=lease,
    )


def start_task(
    state: TenantState, command: StartTask, context: CommandContext
) -> TaskStarted | Nothing:
    """From assigned to running."""
    task = held_task(state, command)
    if task.status == "running":
        return Nothing(_lease(task))
    return TaskStarted(
        task_id=task.id,
        agent_id=command.agent_id,
        attempt=task.attempt,
        lease_until=context.at + task.lease_seconds * 1000,
    )


def report_progress(
    state: TenantState, command: ReportProgress, context: CommandContext
) -> TaskProgressed:
    """Progress, which renews the lease."""
    task = running_task(state, command)
    return TaskProgressed(
        task_id=task.id,
        agent_id=command.agent_id,
        attempt=task.attempt,
        lease_until=context.at + task.lease_seconds * 1000,
        progress=command.progress,
    )


def complete_task(
    state: TenantState, command: CompleteTask, _context: CommandContext
) -> TaskCompleted | Nothing:
    """Done; saying so again is harmless."""
    task = known(state, Task, command.task_id)
    if task.status == "completed" and same_attempt(task, command):
        return Nothing({"task_id": task.id, "status": "completed", "attempt": task.attempt})
    task = running_task(state, command)
    return TaskCompleted(
        task_id=task.id,
        agent_id=command.agent_id,
        attempt=task.attempt,
        result=command.result,
    )


def fail_task(
    state: TenantState, command: FailTask, context: CommandContext
) -> TaskFailed | Nothing:
    """Failed: retried by the task's policy, or for good. Given back, which rules 2 brought, it has
    not used up an attempt."""
    task = known(state, Task, command.task_id)
    if task.status == "failed" and same_attempt(task, command):
        return Nothing({"task_id": task.id, "status": "failed", "attempt": task.attempt})
    task = held_task(state, command)
    given_back = state.rules >= 2 and command.error_type == WORKER_STOPPED
    again = command.retryable and command.error_type not in task.non_retryable
    delay = 0 if given_back else task.retry_delay()
    delay = delay if command.retry_after_ms is None else command.retry_after_ms
    return TaskFailed(
        task_id=task.id,
        agent_id=command.agent_id,
        attempt=task.attempt,
        error=command.error,
        error_type=command.error_type,
        retry_at=context.at + delay if again and (given_back or task.attempts_left()) else None,
    )


def cancel_task(
    state: TenantState, command: CancelTask, _context: CommandContext
) -> TaskCancelled | Nothing:
    """Cancel what is not finished; a holder learns it from its next heartbeat."""
    task = known(state, Task, command.task_id)
    if task.status == "cancelled":
        return Nothing({"task_id": task.id, "reason": task.reason})
    if not task.is_live():
        raise wrong_status(task, "cancelled", "unfinished")
    return TaskCancelled(task_id=task.id, reason=command.reason)


def expire_lease(
    state: TenantState, command: ExpireLease, context: CommandContext
) -> TaskLeaseExpired | Nothing:
    """Only on facts: still that attempt, and its lease is over by the log's time."""
    task = state.get(Task, command.task_id)
    if task is None or task.status not in HELD or task.attempt != command.attempt:
        return Nothing()
    if task.assignment is None or task.lease_until is None or task.lease_until > context.at:
        return Nothing()
    return TaskLeaseExpired(
        task_id=task.id,
        agent_id=task.assignment.agent_id,
        attempt=task.attempt,
        requeued=task.attempts_left(),
    )


def release_task(
    state: TenantState, command: ReleaseTask, context: CommandContext
) -> TaskReleased | Nothing:
    """Ready again once the delay is over."""
    task = state.get(Task, command.task_id)
    if task is None or task.status != "blocked" or task.attempt != command.attempt:
        return Nothing()
    if task.retry_at is None or task.retry_at > context.at:
        return Nothing()
    return TaskReleased(task_id=task.id)


def _unmet(
    state: TenantState, task_id: str, depends_on: tuple[Dependency, ...]
) -> tuple[tuple[str, ...], str | None]:
    """The dependencies to wait for, and why waiting is in vain if one has already failed."""
    unmet: list[str] = []
    reason = None
    for dependency in depends_on:
        if dependency.task_id == task_id:
            raise Rejected(
                "cycle",
                f"depends_on: task {task_id} cannot depend on itself ({task_id} -> {task_id})",
                field="depends_on",
                cycle=[task_id, task_id],
            )
        task = state.get(Task, dependency.task_id)
        if task is None:
            raise NotFound(
                "unknown_task",
                f"depends_on: there is no task {dependency.task_id}; create it first",
                field="depends_on",
                task_id=dependency.task_id,
            )
        ended_badly = task.status in ("failed", "cancelled")
        if ended_badly and dependency.on_failure == "cancel":
            raise Rejected(
                "dependency_failed",
                f"depends_on: task {task.id} is already {task.status}, and on_failure is cancel",
                field="depends_on",
                task_id=task.id,
            )
        if task.is_live() or (ended_badly and dependency.on_failure == "block"):
            unmet.append(task.id)
            reason = f"dependency {task.id} {task.status}" if ended_badly else reason
    return tuple(unmet), reason


def _lease(task: Task) -> dict[str, object]:
    return {"task_id": task.id, "attempt": task.attempt, "lease_until": task.lease_until}
