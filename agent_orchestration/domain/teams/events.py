"""Facts about teams."""

from agent_orchestration.core.messages import Body, Event
from agent_orchestration.domain.tasks.model import Requirement
from agent_orchestration.domain.teams.model import Member


class TeamFormed(Event, frozen=True, kw_only=True):
    """A team exists."""

    ABOUT = "team_id"
    REPLY = ("team_id",)

    team_id: str
    goal: str
    requires: tuple[Requirement, ...]
    members: tuple[Member, ...]
    max_size: int


class TeamUpdated(Event, frozen=True, kw_only=True):
    """Goal or members changed."""

    ABOUT = "team_id"
    REPLY = ("team_id",)

    team_id: str
    goal: str | None = None
    joined: tuple[Member, ...] = ()
    left: tuple[str, ...] = ()


class TeamDisbanded(Event, frozen=True, kw_only=True):
    """The team is over. `released` are unfinished tasks that anybody may do now."""

    ABOUT = "team_id"
    REPLY = ("team_id",)

    team_id: str
    left: tuple[str, ...]
    released: tuple[str, ...]
    reason: str | None

    def reply(self) -> Body:
        """With the number of tasks: there may be more of them than an answer can hold."""
        return {**super().reply(), "released": len(self.released)}
