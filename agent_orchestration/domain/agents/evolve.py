"""What facts about agents change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.events import (
    AgentCameOnline,
    AgentDrained,
    AgentRegistered,
    AgentResumed,
    AgentRetired,
    AgentUpdated,
    AgentWentOffline,
    CircuitBreakerChanged,
)
from agent_orchestration.domain.agents.model import Agent, kept_breaker
from agent_orchestration.domain.budgets.index import OpenSpends
from agent_orchestration.domain.budgets.model import unconfirm
from agent_orchestration.domain.capabilities.model import ensure_capability
from agent_orchestration.domain.tasks.model import Task

_CHANGEABLE = ("name", "skills", "labels", "max_concurrency", "heartbeat_seconds", "dedicated")


def agent_registered(state: TenantState, event: AgentRegistered, context: EventContext) -> None:
    """The agent exists, and so do the capabilities it names."""
    for skill in event.skills:
        ensure_capability(state, skill.capability)
    state.add(
        Agent(
            id=event.agent_id,
            name=event.name,
            kind=event.kind,
            skills=event.skills,
            labels=event.labels,
            max_concurrency=event.max_concurrency,
            heartbeat_seconds=event.heartbeat_seconds,
            dedicated=event.dedicated,
            registered_at=context.at,
            seen_at=context.at,
        )
    )


def agent_updated(state: TenantState, event: AgentUpdated, context: EventContext) -> None:
    """What is given replaces what was known; a new promise of heartbeats counts from now."""
    agent = state.change(Agent, event.agent_id)
    for skill in event.skills or ():
        ensure_capability(state, skill.capability)
    for field in _CHANGEABLE:
        value = getattr(event, field)
        if value is not None:
            setattr(agent, field, value)
    if event.heartbeat_seconds is not None:
        agent.seen_at = context.at


def agent_drained(state: TenantState, event: AgentDrained, _context: EventContext) -> None:
    """No new work."""
    state.change(Agent, event.agent_id).draining = True


def agent_resumed(state: TenantState, event: AgentResumed, _context: EventContext) -> None:
    """Work again."""
    state.change(Agent, event.agent_id).draining = False


def agent_retired(state: TenantState, event: AgentRetired, context: EventContext) -> None:
    """Gone; what it held is ready for others."""
    agent = state.change(Agent, event.agent_id)
    for task_id in event.requeued:
        state.change(Task, task_id).requeue(context.at, f"agent {event.agent_id} was retired")
        agent.release()
        unconfirm(state, state.index(OpenSpends).of(task_id))
    agent.memberships = ()
    agent.circuit_breaker_state = agent.circuit_breaker_service = None
    agent.retired_at = context.at


def agent_went_offline(state: TenantState, event: AgentWentOffline, context: EventContext) -> None:
    """Its leases run out on their own."""
    state.change(Agent, event.agent_id).offline_at = context.at


def agent_came_online(state: TenantState, event: AgentCameOnline, context: EventContext) -> None:
    """Seen again."""
    state.change(Agent, event.agent_id).seen(context.at)


def circuit_breaker_changed(
    state: TenantState, event: CircuitBreakerChanged, _context: EventContext
) -> None:
    """The last report counts."""
    agent = state.change(Agent, event.agent_id)
    kept = kept_breaker(event.service, event.state)
    agent.circuit_breaker_state, agent.circuit_breaker_service = kept
