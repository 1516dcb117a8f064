"""The entity `Team`. Who is a member stands with the agents, what it works on with the tasks."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity, Index, Relationship, Time
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent, Membership
from agent_orchestration.domain.capabilities.model import ensure_capability
from agent_orchestration.domain.tasks.model import Requirement

DEFAULT_ROLE = "member"
Size = Annotated[int, Meta(ge=1, le=1000)]


class Member(msgspec.Struct, frozen=True, order=True, gc=False):
    """An agent and its role in a team."""

    agent_id: str
    role: str


class Team(Entity, kw_only=True):
    """A group of agents with a goal; `requires` is what it was formed to cover."""

    LABEL = "Team"
    RELATIONSHIPS = (Relationship("REQUIRES", "requires", "Capability", "capability", ("level",)),)
    INDEXES = (Index("team_status_index", ("status",)),)
    LIVE = "n.status = 'active'"

    goal: str
    status: Literal["active", "disbanded"] = "active"
    requires: tuple[Requirement, ...] = ()
    max_size: int = 0
    formed_at: Time = 0
    disbanded_at: Time | None = None
    reason: str | None = None

    def is_live(self) -> bool:
        """A disbanded team never changes again."""
        return self.status == "active"


def form(state: TenantState, team: Team, members: tuple[Member, ...]) -> None:
    """The team exists, and these agents are its members."""
    for requirement in team.requires:
        ensure_capability(state, requirement.capability)
    state.add(team)
    for member in members:
        join(state, team.id, member)


def join(state: TenantState, team_id: str, member: Member) -> None:
    """The agent is a member in that role; whatever it was before in the team."""
    agent = state.change(Agent, member.agent_id)
    others = [one for one in agent.memberships if one.team_id != team_id]
    agent.memberships = tuple(sorted([*others, Membership(team_id, member.role)]))


def leave(state: TenantState, team_id: str, agent_id: str) -> None:
    """The agent is no member any more."""
    agent = state.change(Agent, agent_id)
    agent.memberships = tuple(one for one in agent.memberships if one.team_id != team_id)
