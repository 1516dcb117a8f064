"""Facts about agents."""

from typing import Any

from agent_orchestration.core.messages import Body, Event
from agent_orchestration.domain.agents.model import AgentKind, BreakerState, Skill


def _add_labels(body: Body) -> Body:
    """Version 1 knew no labels."""
    return {**body, "labels": {}}


def _add_dedicated(body: Body) -> Body:
    """The version before knew no dedicated agents."""
    return {**body, "dedicated": None}


def _drop_dedicated(body: Body) -> Body:
    """Back to the version before: under its rules no agent is dedicated."""
    return {name: value for name, value in body.items() if name != "dedicated"}


class AgentRegistered(Event, frozen=True, kw_only=True):
    """An agent is known from now on. Version 2 added `labels`, version 3 `dedicated`."""

    ABOUT = "agent_id"
    VERSION = 3
    UPCASTERS = {1: _add_labels, 2: _add_dedicated}
    SINCE_RULES = {3: 2}
    DOWNCASTERS = {2: _drop_dedicated}
    REPLY = ("agent_id",)

    agent_id: str
    name: str
    kind: AgentKind
    skills: tuple[Skill, ...]
    labels: dict[str, str]
    max_concurrency: int
    heartbeat_seconds: int | None = None
    dedicated: bool | None = None


class AgentUpdated(Event, frozen=True, kw_only=True):
    """What is known of an agent changed; None means unchanged. Version 2 added `dedicated`."""

    ABOUT = "agent_id"
    VERSION = 2
    UPCASTERS = {1: _add_dedicated}
    SINCE_RULES = {2: 2}
    DOWNCASTERS = {1: _drop_dedicated}
    REPLY = ("agent_id",)

    agent_id: str
    name: str | None = None
    skills: tuple[Skill, ...] | None = None
    labels: dict[str, str] | None = None
    max_concurrency: int | None = None
    heartbeat_seconds: int | None = None
    dedicated: bool | None = None


class AgentDrained(Event, frozen=True, kw_only=True):
    """The agent gets no new work."""

    ABOUT = "agent_id"
    REPLY = ("agent_id",)

    agent_id: str


class AgentResumed(Event, frozen=True, kw_only=True):
    """The agent gets work again."""

    ABOUT = "agent_id"
    REPLY = ("agent_id",)

    agent_id: str


class AgentRetired(Event, frozen=True, kw_only=True):
    """The agent is gone for good; `requeued` are the tasks it held."""

    ABOUT = "agent_id"
    REPLY = ("agent_id", "requeued")

    agent_id: str
    requeued: tuple[str, ...] = ()


class AgentWentOffline(Event, frozen=True, kw_only=True):
    """Nothing was heard of the agent for longer than it promised."""

    ABOUT = "agent_id"
    REPLY = ("agent_id",)

    agent_id: str


class AgentCameOnline(Event, frozen=True, kw_only=True):
    """An offline agent gave a sign of life; `leases` answers its heartbeat."""

    ABOUT = "agent_id"
    REPLY = ("agent_id", "leases")

    agent_id: str
    leases: tuple[dict[str, Any], ...] = ()


class CircuitBreakerChanged(Event, frozen=True, kw_only=True):
    """The circuit breaker of the service that the agent calls is in another state."""

    ABOUT = "agent_id"
    REPLY = ("agent_id",)

    agent_id: str
    service: str
    state: BreakerState
