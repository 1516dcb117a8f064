"""Intentions about teams."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Id, Line, Title
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.model import RequirementSpec
from agent_orchestration.domain.teams.model import DEFAULT_ROLE, Size, Team

Needs = tuple[tuple[type[Entity], str], ...]


class MemberSpec(msgspec.Struct, frozen=True, gc=False):
    """An agent that is to be a member."""

    agent_id: Id
    role: Line = DEFAULT_ROLE


MemberSpecs = Annotated[tuple[MemberSpec, ...], Meta(max_length=1000)]


class FormTeam(Command, frozen=True, kw_only=True):
    """Form a team of the given members, and of others chosen to cover what is required."""

    CREATES = ("team_id", Team, "team")

    team_id: Id | None = None
    goal: Title
    requires: Annotated[tuple[RequirementSpec, ...], Meta(max_length=50)] = ()
    members: MemberSpecs = ()
    min_size: Size = 1
    max_size: Size = 20

    def needs(self) -> Needs:
        """The team, in case the id is taken, and the members."""
        own = ((Team, self.team_id),) if self.team_id else ()
        return (*own, *((Agent, member.agent_id) for member in self.members))


class UpdateTeam(Command, frozen=True, kw_only=True):
    """Change goal and members; naming a member again changes its role."""

    team_id: Id
    goal: Title | None = None
    add: MemberSpecs = ()
    remove: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()

    def needs(self) -> Needs:
        """The team and the agents."""
        agents = (*(member.agent_id for member in self.add), *self.remove)
        return ((Team, self.team_id), *((Agent, agent) for agent in agents))


class DisbandTeam(Command, frozen=True, kw_only=True):
    """End a team; with `force`, its unfinished tasks are open to everybody from now on."""

    team_id: Id
    force: bool = False
    reason: Line | None = None

    def needs(self) -> Needs:
        """The team."""
        return ((Team, self.team_id),)
