"""Tasks as tools show them."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from agent_orchestration.core.entities import DEFAULT_TENANT, shape_of
from agent_orchestration.core.guards import unknown
from agent_orchestration.core.messages import Body
from agent_orchestration.core.tool import Gateway, Output
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.core.types import json_value
from agent_orchestration.domain.tasks.model import EdgePolicy, Task

LINKS = ("parent_id", "team_id", "meant_for")
"""What is one id, and a list of at most one in the row of the question `task`."""
VALUES = ("payload", "progress", "result")
"""What is JSON, and its text in a row."""


class RequirementView(BaseModel):
    """A required capability and its least level, 0 to 1."""

    capability: str
    level: float


class DependencyView(BaseModel):
    """A task that is waited for."""

    task_id: str
    on_failure: EdgePolicy
    status: str | None = Field(default=None, description="absent in a brief answer")


class TaskLine(BaseModel):
    """A task in a list."""

    id: str
    title: str
    status: str
    priority: int
    attempt: int
    waiting_on: int = Field(description="dependencies that are not met")
    agent_id: str | None = None
    reason: str | None = None
    created_at: datetime


class TaskView(TaskLine):
    """A task as the graph has it. Payload, progress and result over 64 KB show as
    `{"$blob": digest, "bytes": size}`; read them as the resource `blob://{digest}`."""

    description: str | None = None
    labels: list[str] = Field(description="key=value")
    requires: list[RequirementView]
    depends_on: list[DependencyView]
    dependent_ids: list[str] | None = Field(
        default=None, description="the tasks that wait for this one; absent in a brief answer"
    )
    parent_id: str | None = Field(default=None, description="the plan it belongs to")
    meant_for: str | None = Field(default=None, description="only this agent may claim it")
    team_id: str | None = Field(default=None, description="only its members may claim it")
    children: int = Field(default=0, description="of a plan: how many tasks it has")
    open_children: int = Field(default=0, description="of a plan: how many are not finished")
    completed_children: int = Field(default=0, description="of a plan: how many are completed")
    failed_children: int = Field(default=0, description="of a plan: failed or cancelled")
    max_attempts: int = Field(description="0: no limit")
    given_back: int | None = Field(
        default=None, description="attempts that stopping workers gave back: they do not count"
    )
    lease_seconds: int
    lease_until: datetime | None = None
    retry_at: datetime | None = None
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    payload: Any = None
    progress: Any = None
    result: Any = None
    error_type: str | None = None
    error: str | None = None
    traceparent: str | None = Field(
        default=None, description="the trace that made it, where it was traced: work goes on there"
    )
    correlation: str | None = Field(
        default=None, description="of the call that made it, in the logs of all processes"
    )


class TaskAnswer(Output):
    """A task, and the sequence number at which it was so."""

    task: TaskView
    seq: int


class Reported(Output):
    """What became of the task, and the sequence number at which it was so."""

    task: TaskView | None = Field(default=None, description="absent in a brief answer")
    seq: int


class Renewed(Reported):
    """What became of the task, and the lease that the report renewed."""

    attempt: int
    lease_until: datetime


class CreatedTask(TaskAnswer):
    """The new task. It waits in the graph even if nobody can do it."""

    unstaffed: list[str] = Field(
        description="required capabilities that nobody has at that level, or not the agent that"
        " the task is meant for"
    )


class HeldTask(TaskAnswer):
    """A task with the attempt under which it is held and the end of the lease."""

    attempt: int
    lease_until: datetime | None = None


class ClaimedTask(Output):
    """The claimed task; `task` is absent where there was nothing to do, and `reason` says why."""

    task: TaskView | None = None
    attempt: int | None = Field(
        default=None, description="send it with everything you say of the task"
    )
    lease_until: datetime | None = None
    reason: str | None = None
    seq: int


class Tasks(Output):
    """A page of tasks."""

    tasks: list[TaskLine]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


class WaitedTasks(Output):
    """The tasks as they are now."""

    tasks: list[TaskLine]
    finished: bool = Field(description="whether all of them are completed, failed or cancelled")
    unknown: list[str] = Field(description="ids of no task")
    seq: int


class EventView(BaseModel):
    """A fact of the history."""

    seq: int
    type: str
    at: datetime
    actor: str
    data: dict[str, Any] = Field(description="what the event says, shortened")


class WaitsFor(BaseModel):
    """Something that has to happen first."""

    what: Literal["dependency", "agent", "capability", "time", "holder", "task"]
    id: str | None = None
    detail: str


class Explanation(Output):
    """Why a task is as it is, and what would move it."""

    task: TaskView
    summary: str
    next_step: str | None = Field(
        default=None, description="what has to happen next; absent when finished"
    )
    waits_for: list[WaitsFor]
    events: list[EventView] = Field(description="the facts behind it, the oldest first")
    seq: int


def task_view(row: dict[str, Any]) -> TaskView:
    """A task from the row of the question `task`."""
    view = TaskView.model_validate(
        {
            **row,
            **{name: json_value(row[name]) for name in VALUES},
            **{name: next(iter(row[f"{name}s"]), None) for name in LINKS},
            "completed_children": row["children"] - row["open_children"] - row["failed_children"],
            "dependent_ids": sorted(row["dependent_ids"]),
        }
    )
    view.requires.sort(key=lambda one: one.capability)
    view.depends_on.sort(key=lambda one: one.task_id)
    return view


def decided_view(entity: Body) -> TaskView:
    """A task without children as the decision left it: what other tasks say of it is absent."""
    task = msgspec.convert(entity, Task)
    row = shape_of(Task).row(DEFAULT_TENANT, task)
    return TaskView.model_validate(
        {
            **row,
            **{name: json_value(row.get(name)) for name in VALUES},
            **{name: getattr(task, name) for name in LINKS},
            "requires": [
                {"capability": r.capability, "level": r.level / 1000} for r in task.requires
            ],
            "depends_on": [msgspec.to_builtins(dependency) for dependency in task.depends_on],
            "agent_id": task.assignment and task.assignment.agent_id,
        }
    )


def event_view(row: dict[str, Any]) -> EventView:
    """An event from a row of a history question."""
    return EventView.model_validate({**row, "data": json_value(row["data"])})


@read_whole
async def task_answer(
    gateway: Gateway, task_id: str, seq: int, patience: float | None = None
) -> dict[str, Any]:
    """The fields of a `TaskAnswer`; `NotFound` where there is no such task."""
    rows = await gateway.ask("task", at_least=seq, patience=patience, task_id=task_id)
    if not rows:
        raise unknown(Task, task_id)
    return {"task": task_view(rows[0]), "seq": max(seq, rows.seq), "stale": rows.stale or None}
