"""Facts about plans."""

import msgspec

from agent_orchestration.core.messages import Event
from agent_orchestration.domain.tasks.model import Dependency, Requirement, RetryPolicy
from agent_orchestration.domain.teams.model import Member


class PlannedTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A task of the plan, without what is as usual. `unmet` counts the dependencies that it waits
    for."""

    task_id: str
    title: str
    description: str | None = None
    requires: tuple[Requirement, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    unmet: int = 0
    priority: int = 3
    labels: dict[str, str] | None = None
    payload: str | None = None
    lease_seconds: int = 60
    retry: RetryPolicy | None = None
    reason: str | None = None


class PlanSubmitted(Event, frozen=True, kw_only=True):
    """A plan exists with all its tasks. `team` are the members of the team that was formed for it;
    `unstaffed` the capabilities that nobody had."""

    ABOUT = "plan_id"
    REPLY = ("plan_id", "team_id", "unstaffed")

    plan_id: str
    title: str
    description: str | None
    tasks: tuple[PlannedTask, ...]
    team_id: str | None
    team_goal: str | None = None
    team: tuple[Member, ...] | None = None
    team_max_size: int = 0
    unstaffed: tuple[str, ...] = ()
