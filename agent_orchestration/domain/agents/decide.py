"""Decisions about agents."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import known, refuse_older_rules, refuse_taken
from agent_orchestration.core.messages import Body, CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    ExpireAgent,
    Heartbeat,
    RegisterAgent,
    ReportCircuitBreaker,
    RetireAgent,
    UpdateAgent,
)
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
from agent_orchestration.domain.agents.model import Agent, kept_breaker, skills_of
from agent_orchestration.domain.tasks.index import TasksByAgent
from agent_orchestration.domain.tasks.model import Task


def register_agent(
    state: TenantState, command: RegisterAgent, context: CommandContext
) -> AgentRegistered:
    """A new agent; its id must be free."""
    agent_id = command.agent_id or context.new_id("agent")
    if command.dedicated:
        refuse_older_rules(state, 2, "dedicated", "such agents")
    refuse_taken(state, Agent, agent_id, "choose another id or use update_agent")
    return AgentRegistered(
        agent_id=agent_id,
        name=command.name,
        kind=command.kind,
        skills=skills_of(command.skills),
        labels=command.labels,
        max_concurrency=command.max_concurrency,
        heartbeat_seconds=command.heartbeat_seconds,
        dedicated=command.dedicated or None,
    )


def update_agent(
    state: TenantState, command: UpdateAgent, _context: CommandContext
) -> AgentUpdated | Nothing:
    """Only what differs is recorded."""
    agent = _present(state, command.agent_id)
    if command.dedicated:
        refuse_older_rules(state, 2, "dedicated", "such agents")
    skills = None if command.skills is None else skills_of(command.skills)
    changes = {
        name: value
        for name, value in (
            ("name", command.name),
            ("skills", skills),
            ("labels", command.labels),
            ("max_concurrency", command.max_concurrency),
            ("heartbeat_seconds", command.heartbeat_seconds),
            (
                "dedicated",
                None if command.dedicated == bool(agent.dedicated) else command.dedicated,
            ),
        )
        if value is not None and value != getattr(agent, name)
    }
    if not changes:
        return Nothing({"agent_id": agent.id})
    return AgentUpdated(agent_id=agent.id, **changes)  # type: ignore[arg-type]


def drain_agent(
    state: TenantState, command: DrainAgent, _context: CommandContext
) -> AgentDrained | AgentResumed | Nothing:
    """Stop or resume giving work to an agent."""
    agent = _present(state, command.agent_id)
    if agent.draining == command.draining:
        return Nothing({"agent_id": agent.id})
    return (AgentDrained if command.draining else AgentResumed)(agent_id=agent.id)


def retire_agent(
    state: TenantState, command: RetireAgent, _context: CommandContext
) -> AgentRetired | Nothing:
    """An agent that still holds tasks goes only by force."""
    agent = state.get(Agent, command.agent_id)
    if agent is not None and agent.retired_at is not None:
        return Nothing({"agent_id": agent.id, "requeued": []})
    agent = _present(state, command.agent_id)
    held = tuple(sorted(state.index(TasksByAgent).of(agent.id)))
    if held and not command.force:
        raise Rejected(
            "agent_has_work",
            f"agent_id: agent {agent.id} holds {len(held)} tasks ({', '.join(held[:5])}); drain it"
            " and wait, or retire it with force=true to give them back",
            field="agent_id",
            agent_id=agent.id,
            task_ids=list(held[:20]),
        )
    return AgentRetired(agent_id=agent.id, requeued=held)


def heartbeat(
    state: TenantState, command: Heartbeat, _context: CommandContext
) -> AgentCameOnline | Nothing:
    """What to do with each lease. Being alive is not a fact worth keeping; coming back is."""
    agent = _present(state, command.agent_id)
    leases = tuple(
        _verdict(state.get(Task, lease.task_id), lease.task_id, lease.attempt, agent.id)
        for lease in command.leases
    )
    if agent.offline_at is not None:
        return AgentCameOnline(agent_id=agent.id, leases=leases)
    return Nothing({"agent_id": agent.id, "leases": list(leases)})


def expire_agent(
    state: TenantState, command: ExpireAgent, context: CommandContext
) -> AgentWentOffline | Nothing:
    """Offline on facts alone; one that comes too early is nothing to do."""
    agent = state.get(Agent, command.agent_id)
    if agent is None or agent.retired_at is not None or agent.offline_at is not None:
        return Nothing()
    if agent.heartbeat_seconds is None:
        return Nothing()
    if agent.seen_at + agent.heartbeat_seconds * 1000 > context.at:
        return Nothing()
    return AgentWentOffline(agent_id=agent.id)


def report_circuit_breaker(
    state: TenantState, command: ReportCircuitBreaker, _context: CommandContext
) -> CircuitBreakerChanged | Nothing:
    """Only a change is a fact. Of a closed one it does not matter whose it is."""
    agent = _present(state, command.agent_id)
    service, breaker = command.service, command.state
    if kept_breaker(service, breaker) == (
        agent.circuit_breaker_state,
        agent.circuit_breaker_service,
    ):
        return Nothing({"agent_id": agent.id})
    return CircuitBreakerChanged(agent_id=agent.id, service=service, state=breaker)


def _present(state: TenantState, agent_id: str) -> Agent:
    agent = known(state, Agent, agent_id)
    if agent.retired_at is not None:
        raise Rejected(
            "agent_retired",
            f"agent_id: agent {agent_id} is retired; register a new one",
            field="agent_id",
            agent_id=agent_id,
        )
    return agent


def _verdict(task: Task | None, task_id: str, attempt: int, agent_id: str) -> Body:
    if task is None:
        verdict = "fenced"
    elif task.status == "cancelled" and task.attempt == attempt:
        verdict = "cancel"
    elif task.held_by(agent_id) and task.attempt == attempt:
        verdict = "continue"
    else:
        verdict = "fenced"
    return {"task_id": task_id, "attempt": attempt, "verdict": verdict}
