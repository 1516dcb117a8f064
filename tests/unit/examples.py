"""Named example messages: the agents ann and bob, the task `parse`, and what they say."""

from collections.abc import Iterable, Mapping

from agent_orchestration.domain.agents.commands import (
    Heartbeat,
    Lease,
    RegisterAgent,
    SkillClaim,
)
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    DependencySpec,
    FailTask,
    ReportProgress,
    RequirementSpec,
    StartTask,
)
from agent_orchestration.domain.tasks.model import EdgePolicy, RetryPolicy

PYTHON: Mapping[str, int] = {"python": 800}
ANYTHING: Mapping[str, int] = {}


def agent(
    agent_id: str = "ann",
    skills: Mapping[str, int] = PYTHON,
    *,
    at_once: int = 1,
    heartbeat_seconds: int | None = None,
) -> RegisterAgent:
    """Ann, who knows python at 0.8 and does one thing at a time; levels in thousandths."""
    return RegisterAgent(
        agent_id=agent_id,
        name=agent_id.title(),
        kind="llm",
        skills=tuple(SkillClaim(name, level) for name, level in skills.items()),
        max_concurrency=at_once,
        heartbeat_seconds=heartbeat_seconds,
    )


def task(
    task_id: str | None = "parse",
    requires: Mapping[str, int] = ANYTHING,
    *,
    after: Iterable[str | DependencySpec] = (),
    priority: int = 3,
    lease_seconds: int = 60,
    retry: RetryPolicy | None = None,
) -> CreateTask:
    """A task that anybody can do at once; levels in thousandths."""
    return CreateTask(
        task_id=task_id,
        title=f"Do {task_id}",
        requires=tuple(RequirementSpec(name, level) for name, level in requires.items()),
        depends_on=tuple(DependencySpec(one) if isinstance(one, str) else one for one in after),
        priority=priority,
        lease_seconds=lease_seconds,
        retry=retry or RetryPolicy(),
    )


def edge(task_id: str, on_failure: EdgePolicy) -> DependencySpec:
    """A dependency and what its failure means."""
    return DependencySpec(task_id, on_failure)


def claim(agent_id: str = "ann", *, start: bool = True) -> ClaimTask:
    """An agent takes the best task and begins."""
    return ClaimTask(agent_id=agent_id, start=start)


def assign(task_id: str = "parse", agent_id: str = "ann") -> AssignTask:
    """Somebody gives a task to an agent."""
    return AssignTask(task_id=task_id, agent_id=agent_id)


def start(task_id: str = "parse", agent_id: str = "ann", attempt: int = 1) -> StartTask:
    """The holder begins."""
    return StartTask(task_id=task_id, agent_id=agent_id, attempt=attempt)


def progress(
    task_id: str = "parse", agent_id: str = "ann", attempt: int = 1, text: str = '{"done":1}'
) -> ReportProgress:
    """The holder says how far it is."""
    return ReportProgress(task_id=task_id, agent_id=agent_id, attempt=attempt, progress=text)


def complete(
    task_id: str = "parse", agent_id: str = "ann", attempt: int = 1, result: str | None = None
) -> CompleteTask:
    """The holder is done."""
    return CompleteTask(task_id=task_id, agent_id=agent_id, attempt=attempt, result=result)


def fail(
    task_id: str = "parse",
    agent_id: str = "ann",
    attempt: int = 1,
    *,
    error_type: str = "error",
    retryable: bool = True,
    retry_after_ms: int | None = None,
) -> FailTask:
    """The holder could not do it."""
    return FailTask(
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        error="it broke",
        error_type=error_type,
        retryable=retryable,
        retry_after_ms=retry_after_ms,
    )


def heartbeat(agent_id: str = "ann", **leases: int) -> Heartbeat:
    """A sign of life; leases are attempts by task id."""
    held = tuple(Lease(task_id, attempt) for task_id, attempt in leases.items())
    return Heartbeat(agent_id=agent_id, leases=held)
