"""Intentions about plans."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity, Json
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import (
    ID_PATTERN,
    Id,
    LabelMap,
    LeaseSeconds,
    Priority,
    Text,
    Title,
)
from agent_orchestration.domain.plans.model import MAX_TASKS, child_id
from agent_orchestration.domain.tasks.model import DependsOn, Requires, RetryPolicy, Task
from agent_orchestration.domain.teams.model import Size, Team

#: Short enough for the id of a task, which is both of them with a dot between.
PlanId = Annotated[str, Meta(pattern=ID_PATTERN, max_length=64)]
LocalId = Annotated[str, Meta(pattern=ID_PATTERN, max_length=63)]


class PlanTaskSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A task of a plan. `task_id` is its id within the plan, and its title where it has no other;
    dependencies name tasks of the plan first, and other tasks where the plan has none of that id.

    What is left out takes no room: a plan of thousands of tasks is one record.
    """

    task_id: LocalId
    title: Title | None = None
    description: Text | None = None
    requires: Requires = ()
    depends_on: DependsOn = ()
    priority: Priority = 3
    labels: LabelMap | None = None
    payload: Json | None = None
    lease_seconds: LeaseSeconds = 60
    retry: RetryPolicy | None = None


class TeamSpec(msgspec.Struct, frozen=True, gc=False):
    """Form a team from what the plan requires."""

    goal: Title | None = None
    max_size: Size = 20


class SubmitPlan(Command, frozen=True, kw_only=True):
    """Create a plan with all its tasks, and a team for it where asked."""

    CREATES = ("plan_id", Task, "plan")

    plan_id: PlanId | None = None
    title: Title
    description: Text | None = None
    tasks: Annotated[tuple[PlanTaskSpec, ...], Meta(max_length=MAX_TASKS)]
    team_id: Id | None = None
    form_team: TeamSpec | None = None

    def needs(self) -> tuple[tuple[type[Entity], str], ...]:
        """The ids, in case they are taken, the team, and what tasks depend on outside the plan."""
        own = {task.task_id for task in self.tasks}
        outside = {d.task_id for t in self.tasks for d in t.depends_on} - own
        ids = [*outside]
        if self.plan_id is not None:
            ids += [self.plan_id, *(child_id(self.plan_id, local) for local in own)]
        team = ((Team, self.team_id),) if self.team_id else ()
        return (*team, *((Task, task_id) for task_id in sorted(ids)))
