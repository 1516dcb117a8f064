"""Decisions about teams."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tasks.model import refuse_twice, requirements_of
from agent_orchestration.domain.teams.commands import (
    DisbandTeam,
    FormTeam,
    MemberSpecs,
    UpdateTeam,
)
from agent_orchestration.domain.teams.events import TeamDisbanded, TeamFormed, TeamUpdated
from agent_orchestration.domain.teams.guards import working_team
from agent_orchestration.domain.teams.index import TeamMembers, TeamTasks
from agent_orchestration.domain.teams.model import Member, Team
from agent_orchestration.domain.teams.selection import choose_members, known_agent


def form_team(state: TenantState, command: FormTeam, context: CommandContext) -> TeamFormed:
    """A new team; its id must be free and what is required must be covered."""
    team_id = command.team_id or context.new_id("team")
    refuse_taken(state, Team, team_id, "choose another id or use update_team")
    if command.min_size > command.max_size:
        raise Rejected(
            "invalid_argument",
            f"min_size: {command.min_size} is more than max_size, {command.max_size}; lower it",
            field="min_size",
        )
    given = _members("members", command.members)
    if len(given) > command.max_size:
        raise Rejected(
            "team_full",
            f"members: {len(given)} are named, max_size is {command.max_size}; name fewer, or"
            " allow more",
            field="members",
        )
    requires = requirements_of(command.requires)
    members = choose_members(state, requires, given, command.min_size, command.max_size)
    return TeamFormed(
        team_id=team_id,
        goal=command.goal,
        requires=requires,
        members=members,
        max_size=command.max_size,
    )


def update_team(
    state: TenantState, command: UpdateTeam, _context: CommandContext
) -> TeamUpdated | Nothing:
    """Only what differs is recorded."""
    team = working_team(state, command.team_id)
    members = state.index(TeamMembers).of(team.id)
    added = _members("add", command.add)
    if both := sorted({member.agent_id for member in added} & set(command.remove)):
        raise Rejected(
            "duplicate", f"remove: {both[0]} is added as well; choose one", field="remove"
        )
    joined = tuple(member for member in added if members.get(member.agent_id) != member.role)
    for member in joined:
        known_agent(state, member.agent_id, "add")
    left = tuple(sorted(set(command.remove) & set(members)))
    size = len(set(members) | {member.agent_id for member in joined}) - len(left)
    if joined and size > team.max_size:
        raise Rejected(
            "team_full",
            f"add: the team would have {size} members, its limit is {team.max_size}; remove"
            " others, or form another team",
            field="add",
        )
    goal = command.goal if command.goal != team.goal else None
    if not (joined or left or goal):
        return Nothing({"team_id": team.id})
    return TeamUpdated(team_id=team.id, goal=goal, joined=joined, left=left)


def disband_team(
    state: TenantState, command: DisbandTeam, _context: CommandContext
) -> TeamDisbanded | Nothing:
    """A team with unfinished tasks ends only by force."""
    team = state.get(Team, command.team_id)
    if team is not None and not team.is_live():
        return Nothing({"team_id": team.id, "released": 0})
    team = working_team(state, command.team_id)
    tasks = state.index(TeamTasks).of(team.id)
    if tasks and not command.force:
        raise Rejected(
            "team_has_work",
            f"team_id: team {team.id} has {len(tasks)} unfinished tasks ({', '.join(tasks[:5])});"
            " wait, cancel them, or disband with force=true to open them to everybody",
            field="team_id",
            team_id=team.id,
            task_ids=list(tasks[:20]),
        )
    left = tuple(state.index(TeamMembers).of(team.id))
    return TeamDisbanded(team_id=team.id, left=left, released=tasks, reason=command.reason)


def _members(field: str, specs: MemberSpecs) -> tuple[Member, ...]:
    members = tuple(sorted(Member(spec.agent_id, spec.role) for spec in specs))
    refuse_twice(field, [member.agent_id for member in members])
    return members
