"""Intentions about tasks."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import Entity, Json
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import (
    Attempt,
    Id,
    LabelMap,
    LeaseSeconds,
    Line,
    Priority,
    Text,
    Title,
)
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.model import (
    DependsOn,
    Requires,
    RetryPolicy,
    Task,
)
from agent_orchestration.domain.teams.model import Team

Needs = tuple[tuple[type[Entity], str], ...]
Milliseconds = Annotated[int, Meta(ge=0, le=365 * 24 * 3600 * 1000)]


class CreateTask(Command, frozen=True, kw_only=True):
    """Add a piece of work. `agent_id` is the only agent that may claim it (None: whoever can)."""

    CREATES = ("task_id", Task, "task")

    task_id: Id | None = None
    title: Title
    description: Text | None = None
    requires: Requires = ()
    depends_on: DependsOn = ()
    agent_id: Id | None = None
    team_id: Id | None = None
    priority: Priority = 3
    labels: LabelMap = msgspec.field(default_factory=dict[str, str])
    payload: Json | None = None
    lease_seconds: LeaseSeconds = 60
    retry: RetryPolicy = RetryPolicy()

    def needs(self) -> Needs:
        """The id, in case it is taken, the agent, the team and the dependencies."""
        own = ((Task, self.task_id),) if self.task_id else ()
        agent = ((Agent, self.agent_id),) if self.agent_id else ()
        team = ((Team, self.team_id),) if self.team_id else ()
        return (
            *own,
            *agent,
            *team,
            *((Task, dependency.task_id) for dependency in self.depends_on),
        )


class ClaimTask(Command, frozen=True, kw_only=True):
    """An agent asks for the best ready task that it can do."""

    WORK = "goes on"

    agent_id: Id
    lease_seconds: LeaseSeconds | None = None
    start: bool = True

    def needs(self) -> Needs:
        """The agent."""
        return ((Agent, self.agent_id),)


class AssignTask(Command, frozen=True, kw_only=True):
    """Somebody gives a ready task to an agent."""

    WORK = "goes on"

    task_id: Id
    agent_id: Id
    lease_seconds: LeaseSeconds | None = None

    def needs(self) -> Needs:
        """The task and the agent."""
        return ((Task, self.task_id), (Agent, self.agent_id))


class AttemptCommand(Command, frozen=True, kw_only=True):
    """Base of what the holder of a task says; `attempt` is its fencing token."""

    WORK = "goes on"

    task_id: Id
    agent_id: Id
    attempt: Attempt

    def needs(self) -> Needs:
        """The task."""
        return ((Task, self.task_id),)


class StartTask(AttemptCommand, frozen=True, kw_only=True):
    """The holder begins."""


class ReportProgress(AttemptCommand, frozen=True, kw_only=True):
    """How far the holder is; the next attempt can read it."""

    progress: Json


class CompleteTask(AttemptCommand, frozen=True, kw_only=True):
    """The holder is done."""

    WORK = "ends"

    result: Json | None = None


class FailTask(AttemptCommand, frozen=True, kw_only=True):
    """The holder could not do it. `retry_after_ms` overrides the policy's delay."""

    WORK = "ends"

    error: Text
    error_type: Line = "error"
    retryable: bool = True
    retry_after_ms: Milliseconds | None = None


class CancelTask(Command, frozen=True, kw_only=True):
    """The task is not wanted any more."""

    task_id: Id
    reason: Line | None = None

    def needs(self) -> Needs:
        """The task."""
        return ((Task, self.task_id),)


class ExpireLease(Command, frozen=True, kw_only=True):
    """The timer: the holder was silent for longer than its lease."""

    task_id: Id
    attempt: Attempt

    def needs(self) -> Needs:
        """The task."""
        return ((Task, self.task_id),)


class ReleaseTask(Command, frozen=True, kw_only=True):
    """The timer: the delay before the next attempt is over."""

    task_id: Id
    attempt: Attempt

    def needs(self) -> Needs:
        """The task."""
        return ((Task, self.task_id),)
