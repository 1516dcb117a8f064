"""Intentions about agents."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Attempt, Id, LabelMap, Line
from agent_orchestration.domain.agents.model import (
    Agent,
    AgentKind,
    BreakerState,
    Concurrency,
    HeartbeatSeconds,
    SkillClaims,
)
from agent_orchestration.domain.tasks.model import Task

Needs = tuple[tuple[type[Entity], str], ...]


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A task an agent believes to hold, with its attempt."""

    task_id: Id
    attempt: Attempt


class AgentCommand(Command, frozen=True, kw_only=True):
    """Base of the commands about one known agent."""

    agent_id: Id

    def needs(self) -> Needs:
        return ((Agent, self.agent_id),)


class RegisterAgent(Command, frozen=True, kw_only=True):
    """Make an agent known."""

    CREATES = ("agent_id", Agent, "agent")

    agent_id: Id | None = None
    name: Line
    kind: AgentKind
    skills: SkillClaims = ()
    labels: LabelMap = msgspec.field(default_factory=dict[str, str])
    max_concurrency: Concurrency = 1
    heartbeat_seconds: HeartbeatSeconds | None = None
    dedicated: bool = False

    def needs(self) -> Needs:
        """The agent, in case the id is taken."""
        return ((Agent, self.agent_id),) if self.agent_id else ()


class UpdateAgent(AgentCommand, frozen=True, kw_only=True):
    """Change what is known of an agent; what is None stays."""

    name: Line | None = None
    skills: SkillClaims | None = None
    labels: LabelMap | None = None
    max_concurrency: Concurrency | None = None
    heartbeat_seconds: HeartbeatSeconds | None = None
    dedicated: bool | None = None


class DrainAgent(AgentCommand, frozen=True, kw_only=True):
    """Give an agent no new work (or, with `draining` false, work again)."""

    draining: bool = True


class RetireAgent(AgentCommand, frozen=True, kw_only=True):
    """Let an agent go for good; with `force`, its tasks go back to be claimed by others."""

    force: bool = False


class Heartbeat(AgentCommand, frozen=True, kw_only=True):
    """A sign of life that renews leases and asks what to do with each."""

    WORK = "ends"

    leases: Annotated[tuple[Lease, ...], Meta(max_length=10_000)] = ()

    def needs(self) -> Needs:
        """The agent and the tasks it believes to hold."""
        return ((Agent, self.agent_id), *((Task, lease.task_id) for lease in self.leases))


class ReportCircuitBreaker(AgentCommand, frozen=True, kw_only=True):
    """How the circuit breaker of the service that an agent calls is now."""

    WORK = "goes on"

    service: Line
    state: BreakerState


class ExpireAgent(AgentCommand, frozen=True, kw_only=True):
    """The timer: nothing was heard of an agent for longer than it promised."""
