"""Tools about teams."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.guards import unknown
from agent_orchestration.core.tool import Gateway, Output, Role, tool
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.core.types import Cursor, Id, Key, Line, PageLimit, Title
from agent_orchestration.domain.tasks.arguments import RequirementArgument, requirement_specs
from agent_orchestration.domain.tasks.views import RequirementView
from agent_orchestration.domain.teams.commands import DisbandTeam, FormTeam, MemberSpec, UpdateTeam
from agent_orchestration.domain.teams.model import DEFAULT_ROLE, Team

TeamId = Annotated[Id, Field(description="the team's id")]


class MemberArgument(Arguments):
    """An agent that is to be a member."""

    agent_id: Id
    role: Annotated[Line, Field(description="e.g. lead, reviewer")] = DEFAULT_ROLE


Members = Annotated[list[MemberArgument], Field(max_length=1000)]


class MemberView(BaseModel):
    """A member of a team."""

    agent_id: str
    name: str
    role: str
    status: str
    active: int = Field(description="tasks it holds now")


class TeamView(BaseModel):
    """A team as the graph has it."""

    id: str
    goal: str
    status: str
    requires: list[RequirementView]
    members: list[MemberView]
    max_size: int
    open_tasks: int
    tasks: int
    formed_at: datetime
    disbanded_at: datetime | None = None
    reason: str | None = None


class TeamAnswer(Output):
    """A team, and the sequence number at which it was so."""

    team: TeamView
    seq: int


class DisbandedTeam(TeamAnswer):
    """The team, and how many unfinished tasks anybody may do now."""

    released: int


class Teams(Output):
    """A page of teams."""

    teams: list[TeamView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


@tool(title="Form a team", role=Role.OPERATOR, toolsets=("orchestrate",))
async def form_team(
    gateway: Gateway,
    goal: Annotated[Title, Field(description="what the team is for, in one line")],
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    requires: Annotated[
        list[RequirementArgument] | None,
        Field(max_length=50, description="capabilities that the members together must have"),
    ] = None,
    members: Annotated[Members | None, Field(description="who is in it in any case")] = None,
    min_size: Annotated[int, Field(ge=1, le=1000, description="members at least")] = 1,
    max_size: Annotated[int, Field(ge=1, le=1000, description="members at most")] = 20,
    idempotency_key: Key | None = None,
) -> TeamAnswer:
    """Form a team for a goal. Beside the members you name, agents are chosen until every required
    capability is covered: who covers most, at the highest levels, with the least to do.

    Tasks created with this `team_id` can be claimed by its members only.
    """
    command = FormTeam(
        team_id=id,
        goal=goal,
        requires=requirement_specs(requires),
        members=_specs(members),
        min_size=min_size,
        max_size=max_size,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return TeamAnswer(**await team_answer(gateway, result.data["team_id"], result.seq))


@tool(title="Update a team", role=Role.OPERATOR, toolsets=("admin",))
async def update_team(
    gateway: Gateway,
    team_id: TeamId,
    goal: Annotated[Title | None, Field(description="what it is for from now on")] = None,
    add: Annotated[Members | None, Field(description="new members, or other roles")] = None,
    remove: Annotated[
        list[Id] | None, Field(max_length=1000, description="agents that leave it")
    ] = None,
    idempotency_key: Key | None = None,
) -> TeamAnswer:
    """Change a team's goal, members and roles. Tasks that a leaving agent holds stay its own."""
    command = UpdateTeam(team_id=team_id, goal=goal, add=_specs(add), remove=tuple(remove or ()))
    result = await gateway.submit(command, key=idempotency_key)
    return TeamAnswer(**await team_answer(gateway, team_id, result.seq))


@tool(title="Disband a team", role=Role.OPERATOR, toolsets=("admin",), destructive=True)
async def disband_team(
    gateway: Gateway,
    team_id: TeamId,
    force: Annotated[
        bool, Field(description="even with unfinished tasks, which anybody may do then")
    ] = False,
    reason: Annotated[Line | None, Field(description="why, for people")] = None,
    idempotency_key: Key | None = None,
) -> DisbandedTeam:
    """End a team. It stays in the graph, with what it worked on."""
    command = DisbandTeam(team_id=team_id, force=force, reason=reason)
    result = await gateway.submit(command, key=idempotency_key)
    fields = await team_answer(gateway, team_id, result.seq)
    return DisbandedTeam(**fields, released=result.data["released"])


@tool(title="Get a team", role=Role.VIEWER, toolsets=("orchestrate", "inspect"), read_only=True)
async def get_team(gateway: Gateway, team_id: TeamId) -> TeamAnswer:
    """One team: its members with their roles, what it covers, and how much it has to do."""
    return TeamAnswer(**await team_answer(gateway, team_id, 0))


@tool(title="List teams", role=Role.VIEWER, toolsets=("inspect",), read_only=True)
async def list_teams(
    gateway: Gateway,
    status: Annotated[
        Literal["active", "disbanded"] | None, Field(description="only in this status")
    ] = None,
    agent_id: Annotated[Id | None, Field(description="only with this member")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Teams:
    """List teams page by page, in order of id."""
    rows = await gateway.ask(
        "teams", status=status, agent_id=agent_id, after_id=cursor or "", limit=limit + 1
    )
    found = [_view(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Teams(teams=found, next_cursor=more, stale=rows.stale or None)


@read_whole
async def team_answer(gateway: Gateway, team_id: str, seq: int) -> dict[str, Any]:
    """The fields of a `TeamAnswer`; `NotFound` where there is no such team."""
    rows = await gateway.ask("team", at_least=seq, team_id=team_id)
    if not rows:
        raise unknown(Team, team_id)
    return {"team": _view(rows[0]), "seq": max(seq, rows.seq), "stale": rows.stale or None}


def _view(row: dict[str, Any]) -> TeamView:
    view = TeamView.model_validate(row)
    view.requires.sort(key=lambda one: one.capability)
    view.members.sort(key=lambda one: one.agent_id)
    return view


def _specs(members: list[MemberArgument] | None) -> tuple[MemberSpec, ...]:
    return tuple(MemberSpec(member.agent_id, member.role) for member in members or ())
