"""What several decisions insist on about teams."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import known
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.teams.model import Team


def working_team(state: TenantState, team_id: str) -> Team:
    """The team, if it can be given work."""
    team = known(state, Team, team_id)
    if not team.is_live():
        raise Rejected(
            "team_disbanded",
            f"team_id: team {team_id} is disbanded; form a new one",
            field="team_id",
            team_id=team_id,
        )
    return team
