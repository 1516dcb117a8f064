"""Tools about agents."""

from typing import Annotated, Literal

from pydantic import Field

from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import Cursor, Filter, Id, Key, LabelMap, Line, PageLimit
from agent_orchestration.domain.agents.arguments import (
    AgentId,
    Concurrency,
    Dedicated,
    Heartbeats,
    LeaseArgument,
    SkillArgument,
    Skills,
    skill_claims,
)
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    Heartbeat,
    Lease,
    RegisterAgent,
    ReportCircuitBreaker,
    RetireAgent,
    UpdateAgent,
)
from agent_orchestration.domain.agents.model import AgentKind, BreakerState
from agent_orchestration.domain.agents.views import (
    AgentAnswer,
    AgentBreaker,
    Agents,
    AgentView,
    BreakerAnswer,
    BreakerView,
    CircuitBreakers,
    HeartbeatAnswer,
    RetiredAgent,
    agent_answer,
)


@tool(title="Register an agent", role=Role.ADMIN, toolsets=("orchestrate", "worker"))
async def register_agent(
    gateway: Gateway,
    name: Annotated[Line, Field(description="for people")],
    kind: Annotated[AgentKind, Field(description="what carries out its tasks")],
    capabilities: Skills,
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    labels: LabelMap | None = None,
    max_concurrency: Concurrency = 1,
    heartbeat_seconds: Heartbeats = None,
    dedicated: Dedicated = False,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Make an agent known, with what it can do and how many tasks it may hold at once.

    Afterwards it can claim tasks (`claim_task`) or be given them (`assign_task`).
    """
    command = RegisterAgent(
        agent_id=id,
        name=name,
        kind=kind,
        skills=skill_claims(capabilities),
        labels=labels or {},
        max_concurrency=max_concurrency,
        heartbeat_seconds=heartbeat_seconds,
        dedicated=dedicated,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return AgentAnswer(**await agent_answer(gateway, result.data["agent_id"], result.seq))


@tool(title="Update an agent", role=Role.OPERATOR, toolsets=("admin",))
async def update_agent(
    gateway: Gateway,
    agent_id: AgentId,
    name: Annotated[Line | None, Field(description="for people")] = None,
    capabilities: Annotated[Skills | None, Field(description="replaces all of them")] = None,
    labels: Annotated[LabelMap | None, Field(description="replaces all of them")] = None,
    max_concurrency: Concurrency | None = None,
    heartbeat_seconds: Heartbeats = None,
    dedicated: Dedicated | None = None,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Change what is known of an agent. What you leave out stays as it is."""
    command = UpdateAgent(
        agent_id=agent_id,
        name=name,
        skills=None if capabilities is None else skill_claims(capabilities),
        labels=labels,
        max_concurrency=max_concurrency,
        heartbeat_seconds=heartbeat_seconds,
        dedicated=dedicated,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return AgentAnswer(**await agent_answer(gateway, agent_id, result.seq))


@tool(title="Drain an agent", role=Role.OPERATOR, toolsets=("admin",))
async def drain_agent(
    gateway: Gateway,
    agent_id: AgentId,
    draining: Annotated[bool, Field(description="false lets it take work again")] = True,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Give an agent no new tasks; it finishes what it holds."""
    command = DrainAgent(agent_id=agent_id, draining=draining)
    result = await gateway.submit(command, key=idempotency_key)
    return AgentAnswer(**await agent_answer(gateway, agent_id, result.seq))


@tool(title="Retire an agent", role=Role.ADMIN, toolsets=("admin",), destructive=True)
async def retire_agent(
    gateway: Gateway,
    agent_id: AgentId,
    force: Annotated[
        bool, Field(description="even if it holds tasks; they go back to be claimed by others")
    ] = False,
    idempotency_key: Key | None = None,
) -> RetiredAgent:
    """Let an agent go for good. It stays in the graph as retired, with what it did."""
    command = RetireAgent(agent_id=agent_id, force=force)
    result = await gateway.submit(command, key=idempotency_key)
    fields = await agent_answer(gateway, agent_id, result.seq)
    return RetiredAgent(**fields, requeued=result.data.get("requeued", []))


@tool(title="Send a heartbeat", role=Role.AGENT, toolsets=("worker",))
async def heartbeat(
    gateway: Gateway,
    agent_id: AgentId,
    leases: Annotated[
        list[LeaseArgument] | None,
        Field(max_length=10_000, description="what you hold: [{task_id, attempt}]"),
    ] = None,
    idempotency_key: Key | None = None,
) -> HeartbeatAnswer:
    """Say that an agent is alive, renew its leases, and learn what to do with each task.

    Send one at least every third of the lease time.
    """
    held = tuple(Lease(lease.task_id, lease.attempt) for lease in leases or ())
    command = Heartbeat(agent_id=agent_id, leases=held)
    result = await gateway.submit(command, key=idempotency_key)
    return HeartbeatAnswer(leases=result.data["leases"])


@tool(title="Report a circuit breaker", role=Role.AGENT, toolsets=("converse",))
async def report_circuit_breaker(
    gateway: Gateway,
    agent_id: AgentId,
    service: Annotated[Line, Field(description="the service that the agent calls")],
    state: Annotated[BreakerState, Field(description="how its circuit breaker is now")],
    idempotency_key: Key | None = None,
) -> BreakerAnswer:
    """Say how the circuit breaker of the service that an agent depends on is, such as that of its
    model. The last report counts; a state that is known already changes nothing."""
    command = ReportCircuitBreaker(agent_id=agent_id, service=service, state=state)
    result = await gateway.submit(command, key=idempotency_key)
    return BreakerAnswer(agent_id=agent_id, circuit_breaker_state=state, seq=result.seq)


@tool(title="Show circuit breakers", role=Role.VIEWER, toolsets=("admin",), read_only=True)
async def circuit_breaker_status(
    gateway: Gateway, limit: PageLimit = 50, cursor: Cursor = None
) -> CircuitBreakers:
    """Which services are left alone because they keep failing: the circuit breakers of the process
    that answers, and the agents whose service's breaker is open or half open, page by page."""
    rows = await gateway.ask("circuit_breakers", after_id=cursor or "", limit=limit + 1)
    found = [AgentBreaker.model_validate(row) for row in rows[:limit]]
    return CircuitBreakers(
        circuit_breakers=[BreakerView.model_validate(one) for one in gateway.circuit_breakers()],
        agents=found,
        next_cursor=found[-1].id if len(rows) > limit else None,
        stale=rows.stale or None,
    )


@tool(
    title="Get an agent",
    role=Role.VIEWER,
    toolsets=("orchestrate", "worker", "inspect"),
    read_only=True,
)
async def get_agent(gateway: Gateway, agent_id: AgentId) -> AgentAnswer:
    """One agent: what it can do, its status, and the tasks it holds."""
    return AgentAnswer(**await agent_answer(gateway, agent_id, 0))


@tool(title="List agents", role=Role.VIEWER, toolsets=("orchestrate", "inspect"), read_only=True)
async def list_agents(
    gateway: Gateway,
    status: Annotated[
        Literal["idle", "busy", "draining", "offline", "retired"] | None,
        Field(description="only in this status"),
    ] = None,
    kind: Annotated[AgentKind | None, Field(description="only of this kind")] = None,
    label: Annotated[Filter | None, Field(description="key=value")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Agents:
    """List agents page by page, in order of id."""
    rows = await gateway.ask(
        "agents", status=status, kind=kind, label=label, after_id=cursor or "", limit=limit + 1
    )
    found = [AgentView.model_validate(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Agents(agents=found, next_cursor=more, stale=rows.stale or None)


@tool(
    title="Find agents for a job",
    role=Role.VIEWER,
    toolsets=("orchestrate", "inspect"),
    read_only=True,
)
async def find_agents(
    gateway: Gateway,
    capabilities: Annotated[
        list[SkillArgument],
        Field(min_length=1, max_length=50, description="all are required, at least at this level"),
    ],
    available: Annotated[bool, Field(description="only who could take a task now")] = False,
    limit: PageLimit = 20,
) -> Agents:
    """Who has all of these capabilities at these levels? Highest levels first, then least busy."""
    levels = {skill.name: skill.level for skill in capabilities}
    rows = await gateway.ask(
        "capable_agents", names=sorted(levels), levels=levels, available=available, limit=limit
    )
    found = [AgentView.model_validate(row) for row in rows]
    return Agents(agents=found, stale=rows.stale or None)
