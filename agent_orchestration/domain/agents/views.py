"""Agents as tools show them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.guards import unknown
from agent_orchestration.core.tool import Gateway, Output
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.domain.agents.model import Agent, BreakerState


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
    dedicated: bool = Field(description="whether it leaves alone what anybody can do")
    team_ids: list[str] = Field(description="the teams it is a member of")
    template_name: str | None = Field(default=None, description="what it was made from")
    version: int | None = Field(default=None, description="of the template")
    registered_at: datetime
    seen_at: datetime
    circuit_breaker_state: BreakerState = Field(
        description="of the service that it calls, as its process last said"
    )


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


class BreakerAnswer(Output):
    """That a report was taken, and the sequence number by which it is there."""

    agent_id: str
    circuit_breaker_state: BreakerState
    seq: int


class BreakerView(BaseModel):
    """A circuit breaker of the process that answers."""

    name: str = Field(description="the service that it guards")
    state: BreakerState
    failures: int = Field(description="calls that failed in a row")
    since: datetime
    tries_again: datetime | None = Field(
        default=None, description="when an open one lets a call through"
    )


class AgentBreaker(BaseModel):
    """An agent whose service's breaker is not closed."""

    id: str
    name: str
    status: str = Field(description="idle, busy, draining or offline")
    state: BreakerState
    service: str


class CircuitBreakers(Output):
    """The breakers of the process that answers, and a page of agents with one not closed."""

    circuit_breakers: list[BreakerView]
    agents: list[AgentBreaker]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


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


@read_whole
async def agent_answer(gateway: Gateway, agent_id: str, seq: int) -> dict[str, Any]:
    """The fields of an `AgentAnswer`; `NotFound` where there is no such agent."""
    rows = await gateway.ask("agent", at_least=seq, agent_id=agent_id)
    if not rows:
        raise unknown(Agent, agent_id)
    agent = AgentView.model_validate(rows[0])
    agent.capabilities.sort(key=lambda skill: skill.name)
    return {"agent": agent, "seq": max(seq, rows.seq), "stale": rows.stale or None}
