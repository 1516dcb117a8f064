"""What several decisions insist on about teams."""

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.teams.model import Team


def working_team(state: TenantState, team_id: str) -> Team:
    """The team, if it can be given work."""
    team = state.get(Team, team_id)
    if team is None:
        raise NotFound(
            "unknown_team",
            f"team_id: there is no team {team_id}; see list_teams",
            field="team_id",
            team_id=team_id,
        )
    if not team.is_live():
        raise Rejected(
            "team_disbanded",
            f"team_id: team {team_id} is disbanded; form a new one",
            field="team_id",
            team_id=team_id,
        )
    return team
