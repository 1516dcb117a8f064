"""What facts about teams change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.events import TeamDisbanded, TeamFormed, TeamUpdated
from agent_orchestration.domain.teams.model import Team, form, join, leave


def team_formed(state: TenantState, event: TeamFormed, context: EventContext) -> None:
    """The team exists and has its members."""
    team = Team(
        id=event.team_id,
        goal=event.goal,
        requires=event.requires,
        max_size=event.max_size,
        formed_at=context.at,
    )
    form(state, team, event.members)


def team_updated(state: TenantState, event: TeamUpdated, _context: EventContext) -> None:
    """Other goal, other members."""
    team = state.change(Team, event.team_id)
    team.goal = event.goal or team.goal
    for member in event.joined:
        join(state, team.id, member)
    for agent_id in event.left:
        leave(state, team.id, agent_id)


def team_disbanded(state: TenantState, event: TeamDisbanded, context: EventContext) -> None:
    """Over: no members, and its tasks are open to everybody."""
    team = state.change(Team, event.team_id)
    team.status = "disbanded"
    team.disbanded_at = context.at
    team.reason = event.reason
    for agent_id in event.left:
        leave(state, team.id, agent_id)
    for task_id in event.released:
        state.change(Task, task_id).team_id = None
