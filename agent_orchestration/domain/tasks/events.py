"""Facts about tasks."""

from agent_orchestration.core.messages import Body, Event
from agent_orchestration.domain.tasks.model import Dependency, Requirement, RetryPolicy, Task


def _add_team(body: Body) -> Body:
    """Version 1 knew no teams."""
    return {**body, "team_id": None}


def _add_agent(body: Body) -> Body:
    """Version 2 knew no tasks that are meant for one agent."""
    return {**body, "agent_id": None}


def _drop_agent(body: Body) -> Body:
    """Back to version 2: under its rules no task is meant for one agent."""
    return {name: value for name, value in body.items() if name != "agent_id"}


class TaskCreated(Event, frozen=True, kw_only=True):
    """A task exists. `unmet` are the dependencies it waits for, `unstaffed` the capabilities that
    nobody had when it was created, or the agent `agent_id` where it is meant for that one only.
    Version 2 added `team_id`, version 3 `agent_id`."""

    ABOUT = "task_id"
    VERSION = 3
    UPCASTERS = {1: _add_team, 2: _add_agent}
    SINCE_RULES = {3: 2}
    DOWNCASTERS = {2: _drop_agent}
    REPLY = ("task_id", "unstaffed")

    task_id: str
    title: str
    description: str | None
    requires: tuple[Requirement, ...]
    depends_on: tuple[Dependency, ...]
    unmet: tuple[str, ...]
    unstaffed: tuple[str, ...]
    priority: int
    labels: dict[str, str]
    payload: str | None
    lease_seconds: int
    retry: RetryPolicy
    reason: str | None = None
    team_id: str | None = None
    agent_id: str | None = None


class TaskClaimed(Event, frozen=True, kw_only=True):
    """An agent took the task; `started` says that it began at once. Times in milliseconds."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "lease_until", "started")
    REPLY_ENTITY = (Task, "task_id")

    task_id: str
    agent_id: str
    attempt: int
    lease_until: int
    lease_seconds: int
    started: bool


class TaskAssigned(Event, frozen=True, kw_only=True):
    """Somebody gave the task to an agent."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "lease_until")

    task_id: str
    agent_id: str
    attempt: int
    lease_until: int
    lease_seconds: int


class TaskStarted(Event, frozen=True, kw_only=True):
    """The holder began."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "lease_until")

    task_id: str
    agent_id: str
    attempt: int
    lease_until: int


class TaskProgressed(Event, frozen=True, kw_only=True):
    """The holder said how far it is."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "lease_until")

    task_id: str
    agent_id: str
    attempt: int
    lease_until: int
    progress: str


class TaskCompleted(Event, frozen=True, kw_only=True):
    """The holder is done."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt")

    task_id: str
    agent_id: str
    attempt: int
    result: str | None


class TaskFailed(Event, frozen=True, kw_only=True):
    """An attempt failed; with `retry_at` (milliseconds) another follows, else the task failed."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "error_type", "retry_at")

    task_id: str
    agent_id: str
    attempt: int
    error: str
    error_type: str
    retry_at: int | None


class TaskCancelled(Event, frozen=True, kw_only=True):
    """The task is not wanted any more."""

    ABOUT = "task_id"
    REPLY = ("task_id", "reason")

    task_id: str
    reason: str | None


class TaskLeaseExpired(Event, frozen=True, kw_only=True):
    """The holder was silent too long; with `requeued` another attempt follows, else it failed."""

    ABOUT = "task_id"
    REPLY = ("task_id", "agent_id", "attempt", "requeued")

    task_id: str
    agent_id: str
    attempt: int
    requeued: bool


class TaskReleased(Event, frozen=True, kw_only=True):
    """The delay before the next attempt is over: ready."""

    ABOUT = "task_id"
    REPLY = ("task_id",)

    task_id: str
