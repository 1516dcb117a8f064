"""Tools about agents."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.tool import Arguments, Gateway, Output, Role, tool
from agent_orchestration.core.types import (
    Attempt,
    Cursor,
    Filter,
    Id,
    Key,
    LabelMap,
    Line,
    PageLimit,
)
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    Heartbeat,
    Lease,
    RegisterAgent,
    RetireAgent,
    SkillClaim,
    UpdateAgent,
)
from agent_orchestration.domain.agents.model import AgentKind

AgentId = Annotated[Id, Field(description="the agent's id")]
Concurrency = Annotated[
    int, Field(ge=1, le=10_000, description="how many tasks it may hold at once")
]
Heartbeats = Annotated[
    int | None,
    Field(ge=1, le=86_400, description="silent for longer, it counts as offline (default: never)"),
]


class SkillArgument(Arguments):
    """A capability and how well the agent does it."""

    name: Annotated[Id, Field(description="the capability, e.g. `python`")]
    level: float = Field(1.0, ge=0, le=1, description="0 to 1")


Skills = Annotated[
    list[SkillArgument],
    Field(max_length=200, description='e.g. [{"name": "python", "level": 0.8}]'),
]


class LeaseArgument(Arguments):
    """A task that the agent believes to hold."""

    task_id: Id
    attempt: Attempt


class SkillView(BaseModel):
    """A capability and its level, 0 to 1."""

    name: str
    level: float


class AgentView(BaseModel):
    """An agent as the graph has it."""

    id: str
    name: str
    kind: str
    status: str = Field(description="idle, busy, draining, offline or retired")
    capabilities: list[SkillView]
    labels: list[str] = Field(description="key=value")
    max_concurrency: int
    active: int = Field(description="tasks it holds now")
    task_ids: list[str] = Field(description="the tasks it holds now")
    heartbeat_seconds: int | None = None
    registered_at: datetime
    seen_at: datetime


class AgentAnswer(Output):
    """An agent, and the sequence number at which it was so."""

    agent: AgentView
    seq: int


class Agents(Output):
    """A page of agents."""

    agents: list[AgentView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


class RetiredAgent(AgentAnswer):
    """The agent that was retired, and the tasks given back."""

    requeued: list[str]


class Verdict(BaseModel):
    """What to do with a task one believes to hold."""

    task_id: str
    attempt: int
    verdict: Literal["continue", "cancel", "fenced"] = Field(
        description="continue; cancel: stop, it was cancelled; fenced: stop, another attempt has it"
    )


class HeartbeatAnswer(Output):
    """What to do with each lease."""

    leases: list[Verdict]


async def agent_answer(gateway: Gateway, agent_id: str, seq: int) -> dict[str, Any]:
    """The fields of an `AgentAnswer`; `NotFound` where there is no such agent."""
    rows = await gateway.ask("agent", at_least=seq, agent_id=agent_id)
    if not rows:
        raise NotFound(
            "unknown_agent",
            f"agent_id: there is no agent {agent_id}; see list_agents",
            field="agent_id",
            agent_id=agent_id,
        )
    agent = AgentView.model_validate(rows[0])
    agent.capabilities.sort(key=lambda skill: skill.name)
    return {"agent": agent, "seq": max(seq, rows.seq), "stale": rows.stale or None}


def _skills(skills: list[SkillArgument]) -> tuple[SkillClaim, ...]:
    return tuple(SkillClaim(skill.name, round(skill.level * 1000)) for skill in skills)


@tool(title="Register an agent", role=Role.OPERATOR, toolsets=("orchestrate", "worker"))
async def register_agent(
    gateway: Gateway,
    name: Annotated[Line, Field(description="for people")],
    kind: Annotated[AgentKind, Field(description="what carries out its tasks")],
    capabilities: Skills,
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    labels: LabelMap | None = None,
    max_concurrency: Concurrency = 1,
    heartbeat_seconds: Heartbeats = None,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Make an agent known, with what it can do and how many tasks it may hold at once.

    Afterwards it can claim tasks (`claim_task`) or be given them (`assign_task`).
    """
    command = RegisterAgent(
        agent_id=id,
        name=name,
        kind=kind,
        skills=_skills(capabilities),
        labels=labels or {},
        max_concurrency=max_concurrency,
        heartbeat_seconds=heartbeat_seconds,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return AgentAnswer(**await agent_answer(gateway, result.data["agent_id"], result.seq))


@tool(title="Update an agent", role=Role.OPERATOR, toolsets=("orchestrate", "admin"))
async def update_agent(
    gateway: Gateway,
    agent_id: AgentId,
    name: Annotated[Line | None, Field(description="for people")] = None,
    capabilities: Annotated[Skills | None, Field(description="replaces all of them")] = None,
    labels: Annotated[LabelMap | None, Field(description="replaces all of them")] = None,
    max_concurrency: Concurrency | None = None,
    heartbeat_seconds: Heartbeats = None,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Change what is known of an agent. What you leave out stays as it is."""
    command = UpdateAgent(
        agent_id=agent_id,
        name=name,
        skills=None if capabilities is None else _skills(capabilities),
        labels=labels,
        max_concurrency=max_concurrency,
        heartbeat_seconds=heartbeat_seconds,
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
