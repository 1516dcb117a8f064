"""The entity `Task`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent_orchestration.core.entities import (
    Entity,
    Index,
    Json,
    Labels,
    Level,
    Relationship,
    Time,
)
from agent_orchestration.core.types import Line

TaskStatus = Literal["blocked", "ready", "assigned", "running", "completed", "failed", "cancelled"]
EdgePolicy = Literal["block", "cancel", "continue"]
OPEN = ("blocked", "ready", "assigned", "running")
HELD = ("assigned", "running")


class Requirement(msgspec.Struct, frozen=True, order=True):
    """A capability that the task asks for, at a level of 0 to 1000 thousandths."""

    capability: str
    level: Level


class Dependency(msgspec.Struct, frozen=True, order=True):
    """A task that must complete first, and what happens here when it fails or is cancelled:
    stay blocked, be cancelled as well, or go on as if it had completed."""

    task_id: str
    on_failure: EdgePolicy


class Assignment(msgspec.Struct, frozen=True):
    """Who holds or held the task, under which attempt, since when."""

    agent_id: str
    attempt: int
    since: Time


class RetryPolicy(msgspec.Struct, frozen=True):
    """When a failed attempt is followed by another. `max_attempts` 0 means no limit."""

    initial_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 1000
    factor: Annotated[int, Meta(ge=1, le=100)] = 2
    max_ms: Annotated[int, Meta(ge=0, le=31_536_000_000)] = 100_000
    max_attempts: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    non_retryable: Annotated[tuple[Line, ...], Meta(max_length=50)] = ()


class Task(Entity, kw_only=True):
    """A piece of work.

    `attempt` counts the claims and is the fencing token of the last one; `waiting_on` counts the
    dependencies that are not met; `reason` says why it is blocked, failed or cancelled.
    """

    LABEL = "Task"
    RELATIONSHIPS = (
        Relationship("REQUIRES", "requires", "Capability", "capability", ("level",)),
        Relationship("DEPENDS_ON", "depends_on", "Task", "task_id", ("on_failure",)),
        Relationship("ASSIGNED_TO", "assignment", "Agent", "agent_id", ("attempt", "since")),
    )
    INDEXES = (
        Index("task_priority_index", ("priority",)),
        Index("task_status_index", ("status",)),
    )
    LIVE = "n.status IN ['blocked', 'ready', 'assigned', 'running']"

    title: str
    status: TaskStatus
    description: str | None = None
    requires: tuple[Requirement, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    assignment: Assignment | None = None
    labels: Labels = msgspec.field(default_factory=dict[str, str])
    priority: int = 3
    created_seq: int = 0
    created_at: Time = 0
    created_by: str = ""
    waiting_on: int = 0
    attempt: int = 0
    lease_seconds: int = 60
    lease_until: Time | None = None
    retry_at: Time | None = None
    retry_initial_ms: int = 1000
    retry_factor: int = 2
    retry_max_ms: int = 100_000
    max_attempts: int = 0
    non_retryable: tuple[str, ...] = ()
    started_at: Time | None = None
    finished_at: Time | None = None
    payload: Json | None = None
    progress: Json | None = None
    result: Json | None = None
    error_type: str | None = None
    error: str | None = None
    reason: str | None = None

    def is_live(self) -> bool:
        """Finished tasks never change again."""
        return self.status in OPEN

    def held_by(self, agent_id: str) -> bool:
        """Whether that agent holds it now."""
        held = self.assignment
        return self.status in HELD and held is not None and held.agent_id == agent_id

    def attempts_left(self) -> bool:
        """Whether the retry policy allows another attempt."""
        return self.max_attempts == 0 or self.attempt < self.max_attempts

    def requeue(self, at: int, reason: str, retry_at: int | None = None) -> None:
        """Nobody holds it any more: ready for another attempt, now or at `retry_at`."""
        self.assignment = None
        self.lease_until = None
        self.reason = reason
        later = retry_at is not None and retry_at > at
        self.status = "blocked" if later else "ready"
        self.retry_at = retry_at if later else None

    def finish(self, status: TaskStatus, at: int, reason: str | None = None) -> None:
        """The end; the assignment stays, so that one can see who did it."""
        self.status = status
        self.finished_at = at
        self.lease_until = None
        self.retry_at = None
        self.reason = reason
