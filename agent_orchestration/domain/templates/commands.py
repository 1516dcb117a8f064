"""Intentions about templates."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity, Json
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Id, LabelMap, Line, Text
from agent_orchestration.domain.agents.model import (
    Agent,
    AgentKind,
    Concurrency,
    HeartbeatSeconds,
    SkillClaims,
)

#: Shorter than an id, which has to hold the version as well.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?!\n)$"
TemplateName = Annotated[str, Meta(pattern=NAME_PATTERN)]
Version = Annotated[int, Meta(ge=1, le=1_000_000)]


class DefineTemplate(Command, frozen=True, kw_only=True):
    """Define the next version of a template, or exactly `version`."""

    name: TemplateName
    version: Version | None = None
    kind: AgentKind
    description: Text | None = None
    skills: SkillClaims = ()
    labels: LabelMap = msgspec.field(default_factory=dict[str, str])
    max_concurrency: Concurrency = 1
    heartbeat_seconds: HeartbeatSeconds | None = None
    settings: Json | None = None


class InstantiateAgent(Command, frozen=True, kw_only=True):
    """Register an agent made from a template; what is given here goes before the template's."""

    CREATES = ("agent_id", Agent, "agent")

    template: TemplateName
    version: Version | None = None
    agent_id: Id | None = None
    name: Line | None = None
    labels: LabelMap = msgspec.field(default_factory=dict[str, str])

    def needs(self) -> tuple[tuple[type[Entity], str], ...]:
        """The agent, in case the id is taken."""
        return ((Agent, self.agent_id),) if self.agent_id else ()
