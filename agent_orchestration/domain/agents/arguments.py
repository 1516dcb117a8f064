"""Arguments that tools about agents share, and the way from them to commands."""

from typing import Annotated

from pydantic import Field

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.types import Attempt, Id
from agent_orchestration.domain.agents.model import SkillClaim

AgentId = Annotated[Id, Field(description="the agent's id")]
Concurrency = Annotated[
    int, Field(ge=1, le=10_000, description="how many tasks it may hold at once")
]
Heartbeats = Annotated[
    int | None,
    Field(ge=1, le=86_400, description="silent for longer, it counts as offline (default: never)"),
]

Dedicated = Annotated[
    bool,
    Field(
        description="true: it claims only tasks that require a capability, are its team's or meant"
        " for it, none that anybody can do"
    ),
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


def skill_claims(skills: list[SkillArgument]) -> tuple[SkillClaim, ...]:
    """Capabilities as commands take them."""
    return tuple(SkillClaim(skill.name, round(skill.level * 1000)) for skill in skills)
