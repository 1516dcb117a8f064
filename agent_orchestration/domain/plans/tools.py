"""Tools about plans."""

from typing import Annotated, Any

from pydantic import Field

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import (
    BLOB_THRESHOLD,
    Id,
    Key,
    LabelMap,
    LeaseSeconds,
    Priority,
    Text,
    Title,
    json_text,
)
from agent_orchestration.domain.plans.commands import PlanTaskSpec, SubmitPlan, TeamSpec
from agent_orchestration.domain.plans.model import MAX_TASKS
from agent_orchestration.domain.tasks.arguments import (
    DependencyArgument,
    Requires,
    Retry,
    dependency_specs,
    requirement_specs,
    retry_policy,
)
from agent_orchestration.domain.tasks.views import TaskAnswer, task_answer


class PlanTaskArgument(Arguments):
    """A task of the plan."""

    id: Annotated[Id, Field(max_length=63, description="unique within the plan")]
    title: Annotated[Title | None, Field(description="default: the id")] = None
    description: Text | None = None
    requires: Requires = None
    depends_on: Annotated[
        list[DependencyArgument] | None,
        Field(max_length=1000, description="ids within the plan, or of other tasks"),
    ] = None
    priority: Priority = 3
    labels: LabelMap | None = None
    payload: Annotated[Any, Field(description="JSON for whoever does it, up to 64 KB")] = None
    lease_seconds: LeaseSeconds = 60
    retry: Retry = None


class TeamArgument(Arguments):
    """Form a team that covers everything the plan requires."""

    goal: Annotated[Title | None, Field(description="default: the plan's title")] = None
    max_size: int = Field(default=20, ge=1, le=1000)


class SubmittedPlan(TaskAnswer):
    """The plan as a task, with its roll-up."""

    team_id: str | None = None
    unstaffed: list[str] = Field(description="required capabilities that nobody has")


@tool(title="Submit a plan", role=Role.OPERATOR, toolsets=("orchestrate",))
async def submit_plan(
    gateway: Gateway,
    title: Annotated[Title, Field(description="what the plan achieves, in one line")],
    tasks: Annotated[
        list[PlanTaskArgument],
        Field(
            max_length=MAX_TASKS,
            description='e.g. [{"id": "draft"}, {"id": "review", "depends_on": ["draft"]}]',
        ),
    ],
    id: Annotated[Id | None, Field(max_length=64, description="chosen if left out")] = None,
    description: Annotated[Text | None, Field(description="all that one has to know")] = None,
    team_id: Annotated[Id | None, Field(description="only its members may claim")] = None,
    form_team: Annotated[
        TeamArgument | None, Field(description="form a team from what the plan requires")
    ] = None,
    idempotency_key: Key | None = None,
) -> SubmittedPlan:
    """Create many tasks with their dependencies at once: all of them or, if anything is wrong,
    none. The plan is itself a task: `get_task`, `wait_for_tasks` and `cancel_task` work on it, and
    its tasks are called `<plan id>.<task id>`.

    When a task fails or is cancelled, those that depend on it are cancelled, unless the dependency
    says otherwise; the plan ends when its last task does.
    """
    command = SubmitPlan(
        plan_id=id,
        title=title,
        description=description,
        tasks=tuple(_spec(number, task) for number, task in enumerate(tasks)),
        team_id=team_id,
        form_team=None if form_team is None else TeamSpec(form_team.goal, form_team.max_size),
    )
    result = await gateway.submit(command, key=idempotency_key)
    # The graph takes about 0.2 ms for each of its tasks, more where it is busy.
    patience = 10 + len(tasks) / 1000
    answer = await task_answer(gateway, result.data["plan_id"], result.seq, patience)
    return SubmittedPlan(
        **answer, team_id=result.data["team_id"], unstaffed=result.data["unstaffed"]
    )


def _spec(number: int, task: PlanTaskArgument) -> PlanTaskSpec:
    payload = json_text(task.payload, f"tasks.{number}.payload")
    if payload is not None and len(payload.encode()) > BLOB_THRESHOLD:
        raise Rejected(
            "too_large",
            f"tasks.{number}.payload: has {len(payload.encode())} bytes; at most"
            f" {BLOB_THRESHOLD} are allowed in a plan, give a file or an address instead",
            field=f"tasks.{number}.payload",
        )
    return PlanTaskSpec(
        task_id=task.id,
        title=task.title if task.title != task.id else None,
        description=task.description,
        requires=requirement_specs(task.requires),
        depends_on=dependency_specs(task.depends_on, "cancel"),
        priority=task.priority,
        labels=task.labels or None,
        payload=payload,
        lease_seconds=task.lease_seconds,
        retry=None if task.retry is None else retry_policy(task.retry),
    )
