"""Example messages about the agents ann and bob, the task `parse`, the team `crew`, the plan
`release`, the template `coder`, the conversation `talk` and the spend `call`."""

import hashlib
from collections.abc import Iterable, Mapping

from agent_orchestration.core.messages import canonical
from agent_orchestration.core.types import BlobReference
from agent_orchestration.domain.agents.commands import Heartbeat, Lease, RegisterAgent
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.domain.artifacts.commands import AddArtifact
from agent_orchestration.domain.budgets.commands import ReleaseSpend, ReserveSpend, SettleSpend
from agent_orchestration.domain.conversations.commands import OpenConversation, SendMessage
from agent_orchestration.domain.conversations.model import MessageKind
from agent_orchestration.domain.plans.commands import PlanTaskSpec, SubmitPlan, TeamSpec
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    FailTask,
    ReportProgress,
    StartTask,
)
from agent_orchestration.domain.tasks.model import (
    DependencySpec,
    EdgePolicy,
    RequirementSpec,
    RetryPolicy,
)
from agent_orchestration.domain.teams.commands import FormTeam, MemberSpec
from agent_orchestration.domain.templates.commands import DefineTemplate

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
    agent_id: str | None = None,
    team: str | None = None,
) -> CreateTask:
    """A task that anybody can do at once, or only one agent; levels in thousandths."""
    return CreateTask(
        task_id=task_id,
        title=f"Do {task_id}",
        requires=tuple(RequirementSpec(name, level) for name, level in requires.items()),
        depends_on=tuple(DependencySpec(one) if isinstance(one, str) else one for one in after),
        priority=priority,
        lease_seconds=lease_seconds,
        retry=retry or RetryPolicy(),
        agent_id=agent_id,
        team_id=team,
    )


def edge(task_id: str, on_failure: EdgePolicy) -> DependencySpec:
    """A dependency and what its failure means."""
    return DependencySpec(task_id, on_failure)


def form(
    team_id: str | None = "crew",
    requires: Mapping[str, int] = ANYTHING,
    *,
    members: Iterable[str] = (),
    min_size: int = 1,
    max_size: int = 20,
) -> FormTeam:
    """A team of these members, and of whoever it takes to cover what is required."""
    return FormTeam(
        team_id=team_id,
        goal="Ship it",
        requires=tuple(RequirementSpec(name, level) for name, level in requires.items()),
        members=tuple(MemberSpec(member) for member in members),
        min_size=min_size,
        max_size=max_size,
    )


def part(
    task_id: str,
    requires: Mapping[str, int] = ANYTHING,
    *,
    after: Iterable[str | DependencySpec] = (),
    retry: RetryPolicy | None = None,
) -> PlanTaskSpec:
    """A task of a plan, cancelled when one that it depends on does not complete."""
    edges = (DependencySpec(one, "cancel") if isinstance(one, str) else one for one in after)
    return PlanTaskSpec(
        task_id=task_id,
        requires=tuple(RequirementSpec(name, level) for name, level in requires.items()),
        depends_on=tuple(edges),
        retry=retry,
    )


def plan(
    *tasks: PlanTaskSpec,
    plan_id: str | None = "release",
    team: str | None = None,
    form_team: TeamSpec | None = None,
) -> SubmitPlan:
    """A plan of these tasks."""
    return SubmitPlan(
        plan_id=plan_id, title="Release", tasks=tasks, team_id=team, form_team=form_team
    )


def define(
    name: str = "coder", version: int | None = None, skills: Mapping[str, int] = PYTHON
) -> DefineTemplate:
    """The next version of a template, or a certain one."""
    return DefineTemplate(
        name=name,
        version=version,
        kind="llm",
        skills=tuple(SkillClaim(one, level) for one, level in skills.items()),
        labels={"made": "here"},
        max_concurrency=2,
        heartbeat_seconds=30,
        settings='{"model":"m"}',
    )


def talk(
    conversation_id: str | None = "talk",
    text: str | None = None,
    *,
    by: str | None = None,
    to: str | None = None,
    task: str | None = None,
    team: str | None = None,
) -> OpenConversation:
    """A conversation, with a first message where there is a text."""
    return OpenConversation(
        conversation_id=conversation_id,
        topic="The parser",
        task_id=task,
        team_id=team,
        agent_id=by,
        text=text,
        to=to,
    )


def say(
    text: str = "Hello",
    *,
    by: str | None = "ann",
    to: str | None = None,
    kind: MessageKind = "message",
    reply_to: int | None = None,
    conversation: str = "talk",
) -> SendMessage:
    """Somebody says something."""
    return SendMessage(
        conversation_id=conversation,
        agent_id=by,
        text=text,
        kind=kind,
        to=to,
        reply_to=reply_to,
    )


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


def reserve(
    spend_id: str = "call",
    amount: int = 100,
    *,
    task_id: str = "parse",
    agent_id: str = "ann",
    attempt: int = 1,
) -> ReserveSpend:
    """The holder wants to call a model."""
    return ReserveSpend(
        spend_id=spend_id,
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        model="m-1",
        amount_micros=amount,
    )


def artifact(
    name: str = "notes.txt",
    content: bytes = b"notes",
    *,
    agent_id: str = "ann",
    attempt: int = 1,
    media_type: str = "text/plain",
) -> AddArtifact:
    """The holder keeps something."""
    blob = BlobReference(hashlib.sha256(content).hexdigest(), len(content))
    return AddArtifact(
        task_id="parse",
        agent_id=agent_id,
        attempt=attempt,
        name=name,
        media_type=media_type,
        content=canonical(blob).decode(),
    )


def settle(spend_id: str = "call", cost: int = 60, *, agent_id: str = "ann") -> SettleSpend:
    """What the call cost; it used 15 tokens."""
    return SettleSpend(
        spend_id=spend_id,
        agent_id=agent_id,
        cost_micros=cost,
        prompt_tokens=10,
        completion_tokens=5,
        cached_tokens=4,
        milliseconds=700,
    )


def release(spend_id: str = "call", *, agent_id: str = "ann") -> ReleaseSpend:
    """There was no call."""
    return ReleaseSpend(spend_id=spend_id, agent_id=agent_id)


def heartbeat(agent_id: str = "ann", **leases: int) -> Heartbeat:
    """A sign of life; leases are attempts by task id."""
    return Heartbeat(agent_id=agent_id, leases=tuple(Lease(*one) for one in leases.items()))
