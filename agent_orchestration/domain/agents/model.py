"""The entity `Agent`."""

from typing import Literal

import msgspec

from agent_orchestration.core.entities import Entity, Index, Labels, Level, Relationship, Time

AgentKind = Literal["llm", "mcp", "function", "command", "human"]


class Skill(msgspec.Struct, frozen=True, order=True):
    """A capability that an agent has, at a level of 0 to 1000 thousandths."""

    capability: str
    level: Level


class Agent(Entity, kw_only=True):
    """Somebody or something that carries out tasks.

    `active` counts the tasks it holds; `heartbeat_seconds` is how long it may be silent before it
    counts as offline (None: for ever).
    """

    LABEL = "Agent"
    RELATIONSHIPS = (
        Relationship("HAS_CAPABILITY", "skills", "Capability", "capability", ("level",)),
    )
    INDEXES = (Index("agent_status_index", ("status",)),)
    DERIVED = ("status",)
    LIVE = "n.status <> 'retired'"

    name: str
    kind: AgentKind
    skills: tuple[Skill, ...] = ()
    labels: Labels = msgspec.field(default_factory=dict[str, str])
    max_concurrency: int = 1
    heartbeat_seconds: int | None = None
    active: int = 0
    draining: bool = False
    registered_at: Time = 0
    seen_at: Time = 0
    offline_at: Time | None = None
    retired_at: Time | None = None

    @property
    def status(self) -> str:
        """idle, busy, draining, offline or retired: follows from the facts."""
        if self.retired_at is not None:
            return "retired"
        if self.offline_at is not None:
            return "offline"
        if self.draining:
            return "draining"
        return "busy" if self.active else "idle"

    @property
    def levels(self) -> dict[str, int]:
        """Capability -> level in thousandths."""
        return {skill.capability: skill.level for skill in self.skills}

    def is_live(self) -> bool:
        """Retired agents never change again."""
        return self.retired_at is None

    def take(self) -> None:
        """Hold one more task."""
        self.active += 1

    def release(self) -> None:
        """Hold one task less."""
        self.active -= 1

    def seen(self, at: int) -> None:
        """A sign of life."""
        self.seen_at = at
        self.offline_at = None
