"""What facts about tasks change, consequences for agents and dependents included."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.capabilities.model import ensure_capability
from agent_orchestration.domain.tasks.ending import end, let_go
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
from agent_orchestration.domain.tasks.model import WORKER_STOPPED, Assignment, Task


def task_created(state: TenantState, event: TaskCreated, context: EventContext) -> None:
    """The task exists, ready or blocked, and so do the capabilities it names."""
    for requirement in event.requires:
        ensure_capability(state, requirement.capability)
    state.add(
        Task(
            id=event.task_id,
            title=event.title,
            description=event.description,
            status="blocked" if event.unmet else "ready",
            requires=event.requires,
            depends_on=event.depends_on,
            labels=event.labels,
            priority=event.priority,
            created_seq=context.seq,
            created_at=context.at,
            created_by=context.actor,
            waiting_on=len(event.unmet),
            lease_seconds=event.lease_seconds,
            retry_initial_ms=event.retry.initial_ms,
            retry_factor=event.retry.factor,
            retry_max_ms=event.retry.max_ms,
            max_attempts=event.retry.max_attempts,
            non_retryable=event.retry.non_retryable,
            payload=event.payload,
            reason=event.reason,
            meant_for=event.agent_id,
            team_id=event.team_id,
            correlation=context.correlation,
            traceparent=context.traceparent,
        )
    )


def task_claimed(state: TenantState, event: TaskClaimed, context: EventContext) -> None:
    """The agent holds it. Asking for work was a sign of life; being given work is none."""
    _take(state, event, context)
    state.change(Agent, event.agent_id).seen(context.at)
    if event.started:
        _begin(state.change(Task, event.task_id), context)


def task_assigned(state: TenantState, event: TaskAssigned, context: EventContext) -> None:
    """The agent holds it, and has still to start."""
    _take(state, event, context)


def task_started(state: TenantState, event: TaskStarted, context: EventContext) -> None:
    """Running."""
    task = state.change(Task, event.task_id)
    task.lease_until = event.lease_until
    _begin(task, context)


def task_progressed(state: TenantState, event: TaskProgressed, _context: EventContext) -> None:
    """The last progress, and a renewed lease."""
    task = state.change(Task, event.task_id)
    task.progress = event.progress
    task.lease_until = event.lease_until


def task_completed(state: TenantState, event: TaskCompleted, context: EventContext) -> None:
    """Done: the agent is free, and dependents may go on."""
    task = state.change(Task, event.task_id)
    task.result = event.result
    task.error = task.error_type = None
    _heard(state, event, context)
    end(state, task, "completed", context.at)


def task_failed(state: TenantState, event: TaskFailed, context: EventContext) -> None:
    """The agent is free; the task waits for its next attempt or has failed for good."""
    task = state.change(Task, event.task_id)
    task.error = event.error
    task.error_type = event.error_type
    _heard(state, event, context)
    reason = f"attempt {event.attempt} failed"
    if event.retry_at is not None:
        if state.rules >= 2 and event.error_type == WORKER_STOPPED:
            task.given_back = (task.given_back or 0) + 1
            reason = f"attempt {event.attempt} was given back"
        let_go(state, task.id, event.agent_id)
        task.requeue(context.at, reason, event.retry_at)
    else:
        end(state, task, "failed", context.at, reason)


def task_cancelled(state: TenantState, event: TaskCancelled, context: EventContext) -> None:
    """Not wanted any more: whoever held it is free."""
    task = state.change(Task, event.task_id)
    end(state, task, "cancelled", context.at, event.reason)


def task_lease_expired(state: TenantState, event: TaskLeaseExpired, context: EventContext) -> None:
    """The agent lost it; another attempt follows if any is left."""
    task = state.change(Task, event.task_id)
    reason = f"the lease of attempt {event.attempt} by {event.agent_id} ran out"
    if event.requeued:
        let_go(state, task.id, event.agent_id)
        task.requeue(context.at, reason)
    else:
        task.error, task.error_type = reason, "lease_expired"
        end(state, task, "failed", context.at, reason)


def task_released(state: TenantState, event: TaskReleased, _context: EventContext) -> None:
    """Ready for the next attempt."""
    task = state.change(Task, event.task_id)
    task.status = "ready"
    task.retry_at = None


def _take(state: TenantState, event: TaskClaimed | TaskAssigned, context: EventContext) -> None:
    task = state.change(Task, event.task_id)
    task.status = "assigned"
    task.attempt = event.attempt
    task.assignment = Assignment(event.agent_id, event.attempt, context.at)
    task.lease_until = event.lease_until
    task.lease_seconds = event.lease_seconds
    task.reason = None
    state.change(Agent, event.agent_id).take()


def _heard(state: TenantState, event: TaskCompleted | TaskFailed, context: EventContext) -> None:
    """Since rules 2 the end of an attempt is a sign of life, too."""
    if state.rules >= 2:
        state.change(Agent, event.agent_id).seen(context.at)


def _begin(task: Task, context: EventContext) -> None:
    task.status = "running"
    task.started_at = context.at
