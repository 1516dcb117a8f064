"""Questions about teams that decisions ask."""

from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.core.statuses import Statuses
from agent_orchestration.domain.agents.model import Agent, Membership
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.model import Team


class TeamMembers(StateIndex[Agent]):
    """The members of each team and their roles."""

    ENTITY = Agent

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._members: dict[str, dict[str, str]] = {}

    def key(self, entity: Agent) -> tuple[Membership, ...] | None:
        """The agent's memberships."""
        return entity.memberships or None

    def put(self, key: tuple[Membership, ...], entity: Agent) -> None:
        """Into each team."""
        for membership in key:
            self._members.setdefault(membership.team_id, {})[entity.id] = membership.role

    def drop(self, key: tuple[Membership, ...], entity: Agent) -> None:
        """Out of each team."""
        for membership in key:
            members = self._members[membership.team_id]
            del members[entity.id]
            if not members:
                del self._members[membership.team_id]

    def of(self, team_id: str) -> dict[str, str]:
        """Agent id -> role, in order of id."""
        return dict(sorted(self._members.get(team_id, {}).items()))


class TeamStatuses(Statuses[Team]):
    """The teams that are not disbanded."""

    ENTITY = Team
    STATUSES = ("active",)

    def key(self, entity: Team) -> str | None:
        """Its status, until it is disbanded."""
        return entity.status if entity.is_live() else None


class TeamTasks(StateIndex[Task]):
    """The unfinished tasks of each team."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._tasks: dict[str, set[str]] = {}

    def key(self, entity: Task) -> str | None:
        """The team of an unfinished task."""
        return entity.team_id if entity.team_id is not None and entity.is_live() else None

    def put(self, key: str, entity: Task) -> None:
        """A task more."""
        self._tasks.setdefault(key, set()).add(entity.id)

    def drop(self, key: str, entity: Task) -> None:
        """A task less."""
        self._tasks[key].discard(entity.id)
        if not self._tasks[key]:
            del self._tasks[key]

    def of(self, team_id: str) -> tuple[str, ...]:
        """The ids of its unfinished tasks, in order."""
        return tuple(sorted(self._tasks.get(team_id, ())))
