"""From the numbers of a move to a command that makes sense now, most of the time."""

from typing import get_args

from agent_orchestration.core.folding import RULES
from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    ExpireAgent,
    Heartbeat,
    Lease,
    RegisterAgent,
    ReportCircuitBreaker,
    RetireAgent,
    UpdateAgent,
)
from agent_orchestration.domain.agents.model import BreakerState, SkillClaim
from agent_orchestration.domain.capabilities.commands import DefineCapability
from agent_orchestration.domain.tasks.commands import (
    AssignTask,
    CancelTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    ExpireLease,
    FailTask,
    ReleaseTask,
    ReportProgress,
    StartTask,
)
from agent_orchestration.domain.tasks.model import (
    HELD,
    WORKER_STOPPED,
    DependencySpec,
    RequirementSpec,
    Task,
)
from agent_orchestration.domain.tenants.commands import RaiseRules
from agent_orchestration.pipeline.due import command_for, due_until
from tests.properties.artifact_moves import ARTIFACTS
from tests.properties.budget_moves import BUDGETS
from tests.properties.company_moves import COMPANY
from tests.properties.move import (
    CAPABILITIES,
    POLICIES,
    RETRIES,
    Make,
    Move,
    some_labels,
    some_lease,
    some_levels,
    some_task,
    some_team,
)
from tests.properties.user_moves import USERS

BREAKER_STATES: tuple[BreakerState, ...] = get_args(BreakerState)


def _register(_state: TenantState, move: Move, _now: int) -> Command:
    return RegisterAgent(
        agent_id=None if move.number == 29 else move.agent_id,
        name=move.line(),
        kind="llm",
        skills=tuple(SkillClaim(name, level) for name, level in some_levels(move.number)),
        labels=some_labels(move),
        max_concurrency=move.number % 3 + 1,
        heartbeat_seconds=move.lasting or None,
        dedicated=move.number % 7 == 0,
    )


def _update(_state: TenantState, move: Move, _now: int) -> Command:
    skills = tuple(SkillClaim(name, level) for name, level in some_levels(move.number))
    return UpdateAgent(
        agent_id=move.agent_id,
        name=move.line() if move.number % 2 else None,
        skills=skills if move.number % 3 else None,
        labels=some_labels(move) if move.number % 5 else None,
        max_concurrency=move.number % 4 or None,
        heartbeat_seconds=move.lasting or None,
        dedicated=(True, False)[move.number % 2] if move.number % 3 == 0 else None,
    )


def _drain(_state: TenantState, move: Move, _now: int) -> Command:
    return DrainAgent(agent_id=move.agent_id, draining=move.number % 2 == 0)


def _retire(_state: TenantState, move: Move, _now: int) -> Command:
    return RetireAgent(agent_id=move.agent_id, force=move.number % 2 == 0)


def _breaker(_state: TenantState, move: Move, _now: int) -> Command:
    state = BREAKER_STATES[move.number % 3]
    return ReportCircuitBreaker(agent_id=move.agent_id, service=move.line(), state=state)


def _heartbeat(state: TenantState, move: Move, _now: int) -> Command:
    leases = [Lease(task.id, task.attempt) for task in state.all(Task) if task.attempt]
    return Heartbeat(agent_id=move.agent_id, leases=(*leases, Lease(move.task_id, 7)))


def _expire_agent(_state: TenantState, move: Move, _now: int) -> Command:
    return ExpireAgent(agent_id=move.agent_id)


def _define(_state: TenantState, move: Move, _now: int) -> Command:
    return DefineCapability(
        name=CAPABILITIES[move.number % 3],
        category=move.line() if move.number % 2 else None,
        description=move.text if move.number % 3 else None,
    )


def _create(state: TenantState, move: Move, _now: int) -> Command:
    known = sorted((not task.is_live(), task.id) for task in state.all(Task))
    wanted = [task_id for _, task_id in known[move.task // 3 :]][: move.number % 4]
    if move.number == 0:
        wanted = [move.task_id, "ghost"]
    edges = [DependencySpec(one, POLICIES[(move.number + i) % 3]) for i, one in enumerate(wanted)]
    requires = some_levels(move.number // 3) if move.number % 3 == 2 else []
    level = move.task % 4 * 200
    # In another order than they are created in.
    named = f"{'zyxwvutsrq'[move.task]}{move.number}"
    return CreateTask(
        task_id=None if move.number % 7 == 6 else named,
        title=move.line(500),
        description=move.text,
        requires=tuple(RequirementSpec(name, level) for name, _ in requires),
        depends_on=tuple(edges),
        priority=move.number % 5 + 1,
        labels=some_labels(move),
        payload=move.json() if move.number % 2 else None,
        lease_seconds=move.lasting or 60,
        retry=RETRIES[move.number % len(RETRIES)],
        agent_id=move.agent_id if move.number % 5 == 2 else None,
        team_id=some_team(state, move) if move.number % 5 == 1 else None,
    )


def _claim(_state: TenantState, move: Move, _now: int) -> Command:
    start, lease = move.number % 3 != 2, move.lasting or None
    return ClaimTask(agent_id=move.agent_id, start=start, lease_seconds=lease)


def _assign(state: TenantState, move: Move, _now: int) -> Command:
    return AssignTask(task_id=some_task(state, move), agent_id=move.agent_id)


def _start(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    return StartTask(task_id=task, agent_id=agent, attempt=attempt)


def _progress(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    return ReportProgress(task_id=task, agent_id=agent, attempt=attempt, progress=move.json())


def _complete(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    return CompleteTask(task_id=task, agent_id=agent, attempt=attempt, result=move.json())


def _fail(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    return FailTask(
        task_id=task,
        agent_id=agent,
        attempt=attempt,
        error=move.text,
        error_type={1: WORKER_STOPPED, 2: "fatal"}.get(move.number % 4, move.line()),
        retryable=move.number % 5 != 4,
        retry_after_ms=move.lasting * 1000 if move.number % 3 == 2 else None,
    )


def _raise_rules(_state: TenantState, move: Move, _now: int) -> Command:
    return RaiseRules(rules=RULES if move.number % 5 else 1)


def _cancel(state: TenantState, move: Move, _now: int) -> Command:
    return CancelTask(
        task_id=some_task(state, move), reason=move.line() if move.number % 2 else None
    )


def _expire_lease(state: TenantState, move: Move, _now: int) -> Command:
    task, _, attempt = some_lease(state, move)
    return ExpireLease(task_id=task, attempt=attempt)


def _release(state: TenantState, move: Move, _now: int) -> Command:
    task_id = some_task(state, move)
    task = state.get(Task, task_id)
    return ReleaseTask(task_id=task_id, attempt=max(task.attempt if task else 0, 1))


def _due(state: TenantState, move: Move, now: int) -> Command:
    """What the timer would ask for."""
    due = due_until(state, now)
    return command_for(due[0]) if due else ReleaseTask(task_id=move.task_id, attempt=1)


MAKE: dict[str, Make] = {
    "register": _register,
    "update": _update,
    "drain": _drain,
    "retire": _retire,
    "breaker": _breaker,
    "heartbeat": _heartbeat,
    "expire agent": _expire_agent,
    "define": _define,
    "create": _create,
    "claim": _claim,
    "assign": _assign,
    "start": _start,
    "progress": _progress,
    "complete": _complete,
    "fail": _fail,
    "cancel": _cancel,
    "expire lease": _expire_lease,
    "release": _release,
    "due": _due,
    "raise rules": _raise_rules,
    **COMPANY,
    **BUDGETS,
    **ARTIFACTS,
    **USERS,
}
"""Kind of move -> what makes its command."""
OFTEN = ("create", "claim", "complete") * 5 + (
    *("assign", "start", "fail", "cancel", "due", "reserve", "settle") * 2,
)
"""The kinds that make a history go on."""
HOLDERS = ("start", "progress", "complete", "fail", "expire lease", "reserve", "artifact")
"""The kinds that mean something where a task is held."""


def command(state: TenantState, move: Move, now: int) -> Command:
    """What a move means now; what only holders say becomes a claim where there is none."""
    held = any(task.status in HELD for task in state.all(Task))
    kind = "claim" if move.kind in HOLDERS and not held and move.number % 4 else move.kind
    return MAKE[kind](state, move, now)
