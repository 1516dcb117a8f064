"""What facts about plans change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.capabilities.model import ensure_capability
from agent_orchestration.domain.plans.events import PlannedTask, PlanSubmitted
from agent_orchestration.domain.plans.planning import all_requirements
from agent_orchestration.domain.tasks.model import RetryPolicy, Task
from agent_orchestration.domain.teams.model import Team, form


def plan_submitted(state: TenantState, event: PlanSubmitted, context: EventContext) -> None:
    """The plan is running, and its tasks are ready or blocked."""
    requires = all_requirements(event.tasks)
    for need in requires:
        ensure_capability(state, need.capability)
    if event.team is not None and event.team_id is not None:
        team = Team(
            id=event.team_id,
            goal=event.team_goal or event.title,
            requires=requires,
            max_size=event.team_max_size,
            formed_at=context.at,
        )
        form(state, team, event.team)
    state.add(
        Task(
            id=event.plan_id,
            title=event.title,
            description=event.description,
            status="running",
            team_id=event.team_id,
            children=len(event.tasks),
            open_children=len(event.tasks),
            failed_children=0,
            created_seq=context.seq,
            created_at=context.at,
            created_by=context.actor,
            started_at=context.at,
            correlation=context.correlation,
            traceparent=context.traceparent,
        )
    )
    for planned in event.tasks:
        state.add(_task(event, planned, context))


def _task(event: PlanSubmitted, planned: PlannedTask, context: EventContext) -> Task:
    retry = planned.retry or RetryPolicy()
    return Task(
        id=planned.task_id,
        title=planned.title,
        description=planned.description,
        status="blocked" if planned.unmet else "ready",
        requires=planned.requires,
        depends_on=planned.depends_on,
        team_id=event.team_id,
        parent_id=event.plan_id,
        labels=planned.labels or {},
        priority=planned.priority,
        created_seq=context.seq,
        created_at=context.at,
        created_by=context.actor,
        waiting_on=planned.unmet,
        lease_seconds=planned.lease_seconds,
        retry_initial_ms=retry.initial_ms,
        retry_factor=retry.factor,
        retry_max_ms=retry.max_ms,
        max_attempts=retry.max_attempts,
        non_retryable=retry.non_retryable,
        payload=planned.payload,
        reason=planned.reason,
        correlation=context.correlation,
        traceparent=context.traceparent,
    )
