"""The entity `Task`."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Literal
from zlib import crc32

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
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import Id, Line
from agent_orchestration.domain.agents.model import ANYBODY, identity, membership

TaskStatus = Literal["blocked", "ready", "assigned", "running", "completed", "failed", "cancelled"]
EdgePolicy = Literal["block", "cancel", "continue"]
OPEN = ("blocked", "ready", "assigned", "running")
HELD = ("assigned", "running")
WORKER_STOPPED = "worker_stopped"
"""The error type by which a worker gives a task back: nothing is wrong with the task."""
JITTER = 0.1
"""The share of a retry's delay that is added at most, so that failures do not return together."""


class Requirement(msgspec.Struct, frozen=True, order=True, gc=False):
    """A capability that the task asks for, at a level of 0 to 1000 thousandths."""

    capability: str
    level: Level


_FOR_ANYBODY = (Requirement(ANYBODY, 0),)


class RequirementSpec(msgspec.Struct, frozen=True, gc=False):
    """A required capability as commands name it, level in thousandths."""

    capability: Id
    level: Level = 0


class DependencySpec(msgspec.Struct, frozen=True, gc=False):
    """A task to wait for and what to do when it does not complete."""

    task_id: Id
    on_failure: EdgePolicy = "block"


Requires = Annotated[tuple[RequirementSpec, ...], Meta(max_length=50)]
DependsOn = Annotated[tuple[DependencySpec, ...], Meta(max_length=1000)]


class Dependency(msgspec.Struct, frozen=True, order=True, gc=False):
    """A task that must complete first, and what happens here when it fails or is cancelled:
    stay blocked, be cancelled as well, or go on as if it had completed."""

    task_id: str
    on_failure: EdgePolicy


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Who holds or held the task, under which attempt, since when."""

    agent_id: str
    attempt: int
    since: Time


class RetryPolicy(msgspec.Struct, frozen=True, gc=False):
    """When a failed attempt is followed by another. `max_attempts` 0 means no limit; an attempt
    that was given back does not count."""

    initial_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 1000
    factor: Annotated[int, Meta(ge=1, le=100)] = 2
    max_ms: Annotated[int, Meta(ge=0, le=31_536_000_000)] = 100_000
    max_attempts: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    non_retryable: Annotated[tuple[Line, ...], Meta(max_length=50)] = ()


def requirements_of(
    specs: Iterable[RequirementSpec], field: str = "requires"
) -> tuple[Requirement, ...]:
    """The requirements in order of capability; `Rejected` where one is named twice in `field`."""
    requires = [Requirement(spec.capability, spec.level) for spec in specs]
    if len(requires) > 1:
        requires.sort()
        refuse_twice(field, [need.capability for need in requires])
    return tuple(requires)


def refuse_twice(field: str, names: Sequence[str]) -> None:
    """Raise `Rejected` where two neighbours of sorted names are equal."""
    for one, other in pairwise(names):
        if one == other:
            raise Rejected("duplicate", f"{field}: {one} is named twice; name it once", field=field)


class Task(Entity, kw_only=True):
    """A piece of work.

    `attempt` counts the claims and is the fencing token of the last one; `given_back` counts those
    that a stopping worker gave back (None: none); `waiting_on` counts the dependencies that are not
    met; `reason` says why it is blocked, failed or cancelled.
    `meant_for` is the only agent that may claim it (None: whoever is able). `traceparent` is the
    trace of the call that made it, where that was traced: work on the task belongs to it.
    `correlation` is that of the call that made it, for whoever follows it through the logs.
    A plan is a task with `children`: nobody claims it, and it ends when the last of them does.
    Fields that came later are None where they say nothing, so that older rows stay as they were.
    """

    LABEL = "Task"
    RELATIONSHIPS = (
        Relationship("REQUIRES", "requires", "Capability", "capability", ("level",)),
        Relationship("DEPENDS_ON", "depends_on", "Task", "task_id", ("on_failure",)),
        Relationship("ASSIGNED_TO", "assignment", "Agent", "agent_id", ("attempt", "since")),
        Relationship("MEANT_FOR", "meant_for", "Agent"),
        Relationship("WORKS_ON", "team_id", "Team", reverse=True),
        Relationship("SUBTASK_OF", "parent_id", "Task"),
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
    meant_for: str | None = None
    team_id: str | None = None
    parent_id: str | None = None
    children: int | None = None
    open_children: int | None = None
    failed_children: int | None = None
    labels: Labels = msgspec.field(default_factory=dict[str, str])
    priority: int = 3
    created_seq: int = 0
    created_at: Time = 0
    created_by: str = ""
    waiting_on: int = 0
    attempt: int = 0
    given_back: int | None = None
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
    correlation: str | None = None
    traceparent: str | None = None

    @property
    def needs(self) -> tuple[Requirement, ...]:
        """What who claims it must be able to do, membership of the task's team and being the agent
        that it is meant for included; being anybody, where that is all."""
        needs = self.requires
        if self.team_id is not None:
            needs = (Requirement(membership(self.team_id), 0), *needs)
        if self.meant_for is not None:
            needs = (Requirement(identity(self.meant_for), 0), *needs)
        return needs or _FOR_ANYBODY

    def is_live(self) -> bool:
        """Finished tasks never change again."""
        return self.status in OPEN

    def held_by(self, agent_id: str) -> bool:
        """Whether that agent holds it now."""
        held = self.assignment
        return self.status in HELD and held is not None and held.agent_id == agent_id

    def waits_for(self, on_failure: EdgePolicy) -> bool:
        """Whether a task with such an edge to this one has to wait for it, maybe in vain."""
        ended_badly = self.status in ("failed", "cancelled")
        return self.is_live() or (ended_badly and on_failure == "block")

    @property
    def counted(self) -> int:
        """The attempts that the retry policy counts."""
        return self.attempt - (self.given_back or 0)

    def attempts_left(self) -> bool:
        """Whether the retry policy allows another attempt."""
        return self.max_attempts == 0 or self.counted < self.max_attempts

    def retry_delay(self) -> int:
        """Milliseconds until the next attempt: exponential, capped, with a jitter that is the same
        whenever the decision is repeated."""
        exponent = min(self.counted - 1, 32)
        delay = min(self.retry_initial_ms * self.retry_factor**exponent, self.retry_max_ms)
        spread = int(delay * JITTER)
        return delay + (crc32(f"{self.id}:{self.attempt}".encode()) % spread if spread else 0)

    def requeue(self, at: int, reason: str, retry_at: int | None = None) -> None:
        """Nobody holds it any more: ready for another attempt, now or at `retry_at`."""
        self.assignment = None
        self.lease_until = None
        self.reason = reason
        later = retry_at is not None and retry_at > at
        self.status = "blocked" if later else "ready"
        self.retry_at = retry_at if later else None

    def dependency_met(self) -> None:
        """One dependency less to wait for."""
        self.waiting_on -= 1
        if self.waiting_on == 0 and self.status == "blocked":
            self.status = "ready"
            self.reason = None

    def child_ended(self, *, completed: bool) -> tuple[TaskStatus, str | None] | None:
        """One of the plan's tasks ended; how the plan ends, where it was the last one."""
        self.open_children = (self.open_children or 0) - 1
        if not completed:
            self.failed_children = (self.failed_children or 0) + 1
        if self.open_children:
            return None
        if self.failed_children:
            return "failed", f"{self.failed_children} of {self.children} tasks did not complete"
        return "completed", None

    def finish(self, status: TaskStatus, at: int, reason: str | None = None) -> None:
        """The end; the assignment stays, so that one can see who did it."""
        self.status = status
        self.finished_at = at
        self.lease_until = None
        self.retry_at = None
        self.reason = reason
