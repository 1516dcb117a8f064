"""The entity `Agent`."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity, Index, Labels, Level, Relationship, Time
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import Id

AgentKind = Literal["llm", "mcp", "function", "command", "human"]
Concurrency = Annotated[int, Meta(ge=1, le=10_000)]
HeartbeatSeconds = Annotated[int, Meta(ge=1, le=86_400)]
BreakerState = Literal["closed", "open", "half_open"]
"""How the circuit breaker of a service is."""


class Skill(msgspec.Struct, frozen=True, order=True, gc=False):
    """A capability that an agent has, at a level of 0 to 1000 thousandths."""

    capability: str
    level: Level


class SkillClaim(msgspec.Struct, frozen=True, gc=False):
    """A capability that a command says an agent has, level in thousandths."""

    capability: Id
    level: Level = 1000


SkillClaims = Annotated[tuple[SkillClaim, ...], Meta(max_length=200)]


def skills_of(claims: SkillClaims) -> tuple[Skill, ...]:
    """The skills in order of capability; `Rejected` where one is named twice."""
    skills = tuple(sorted(Skill(claim.capability, claim.level) for claim in claims))
    for one, other in pairwise(skills):
        if one.capability == other.capability:
            raise Rejected(
                "duplicate",
                f"capabilities: {one.capability} is named twice; name it once",
                field="capabilities",
            )
    return skills


ANYBODY = "*"
"""What a task that requires nothing needs of its holder, in the place of a capability; no
capability's name has a *."""


def membership(team_id: str) -> str:
    """Membership of a team in the place of a capability; no capability's name has an @."""
    return f"@{team_id}"


def identity(agent_id: str) -> str:
    """Being a certain agent in the place of a capability; no capability's name has an =."""
    return f"={agent_id}"


def is_capability(name: str) -> bool:
    """Whether it is the name of a capability, not one of those that take the place of one."""
    return not name.startswith((ANYBODY, "@", "="))


def kept_breaker(service: str, state: BreakerState) -> tuple[BreakerState | None, str | None]:
    """What an agent keeps of a breaker, state and service: nothing of a closed one, so that the
    rows of agents of which nothing was ever reported are those that they were."""
    return (None, None) if state == "closed" else (state, service)


class Membership(msgspec.Struct, frozen=True, order=True, gc=False):
    """An agent's place in a team."""

    team_id: str
    role: str


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The version of a template that an agent was made from; `id` is `name:version`."""

    id: str
    name: str
    version: int


class Agent(Entity, kw_only=True):
    """Somebody or something that carries out tasks.

    `active` counts the tasks it holds; `heartbeat_seconds` is how long it may be silent before it
    counts as offline (None: for ever). A `dedicated` one is not among those that take what anybody
    can do (None: it is). `circuit_breaker_state` is that of the service that it calls,
    `circuit_breaker_service`, as its process last said; None is closed.
    """

    LABEL = "Agent"
    RELATIONSHIPS = (
        Relationship("HAS_CAPABILITY", "skills", "Capability", "capability", ("level",)),
        Relationship("MEMBER_OF", "memberships", "Team", "team_id", ("role",)),
        Relationship("INSTANCE_OF", "origin", "Template", "id", ("name", "version")),
    )
    INDEXES = (
        Index("agent_status_index", ("status",)),
        Index("agent_template_index", ("template_id", "version")),
    )
    DERIVED = ("status", "template_id", "version")
    LIVE = "n.status <> 'retired'"

    name: str
    kind: AgentKind
    skills: tuple[Skill, ...] = ()
    memberships: tuple[Membership, ...] = ()
    origin: Origin | None = None
    labels: Labels = msgspec.field(default_factory=dict[str, str])
    max_concurrency: int = 1
    heartbeat_seconds: int | None = None
    dedicated: bool | None = None
    active: int = 0
    draining: bool = False
    registered_at: Time = 0
    seen_at: Time = 0
    offline_at: Time | None = None
    retired_at: Time | None = None
    circuit_breaker_state: BreakerState | None = None
    circuit_breaker_service: str | None = None

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
    def template_id(self) -> str | None:
        """The name of the template it was made from."""
        return self.origin.name if self.origin else None

    @property
    def version(self) -> int | None:
        """The version of that template."""
        return self.origin.version if self.origin else None

    @property
    def levels(self) -> dict[str, int]:
        """Capability -> level in thousandths."""
        return {skill.capability: skill.level for skill in self.skills}

    @property
    def abilities(self) -> dict[str, int]:
        """What decides which tasks it may claim: its levels; at level 0 who it is, its memberships,
        and being anybody."""
        levels = self.levels
        levels[identity(self.id)] = 0
        if not self.dedicated:
            levels[ANYBODY] = 0
        for one in self.memberships:
            levels[membership(one.team_id)] = 0
        return levels

    def lacks(self, requires: Iterable[tuple[str, int]]) -> tuple[str, ...]:
        """Those of the required (capability, level) that it does not have, in order."""
        levels = self.levels
        return tuple(sorted(name for name, level in requires if levels.get(name, -1) < level))

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
