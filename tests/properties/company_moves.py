"""The moves about teams, templates, plans and conversations."""

from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.domain.conversations.commands import (
    CloseConversation,
    OpenConversation,
    SendMessage,
)
from agent_orchestration.domain.conversations.model import Conversation, MessageKind
from agent_orchestration.domain.plans.commands import PlanTaskSpec, SubmitPlan, TeamSpec
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.domain.tasks.model import DependencySpec, RequirementSpec, Task
from agent_orchestration.domain.teams.commands import (
    DisbandTeam,
    FormTeam,
    MemberSpec,
    UpdateTeam,
)
from agent_orchestration.domain.templates.commands import DefineTemplate, InstantiateAgent
from tests.properties.move import POLICIES, RETRIES, Make, Move, some_labels, some_levels, some_team


def _requires(number: int, share: int) -> tuple[RequirementSpec, ...]:
    return tuple(RequirementSpec(name, level // share) for name, level in some_levels(number))


def _plan(state: TenantState, move: Move, _now: int) -> Command:
    """Up to six tasks: each after some of those before it, and maybe after one outside; one time
    in ten they depend on each other in a circle."""
    outside = sorted(task.id for task in state.all(Task))[move.task :][:1]
    tasks: list[PlanTaskSpec] = []
    for n in range(move.number % 7):
        before = [k for k in range(n) if (move.number + k * n) % 3 == 0]
        names = [*(f"x{k}" for k in before), *(outside if (move.number + n) % 4 == 0 else ())]
        edges = [DependencySpec(name, POLICIES[(move.number + n) % 3]) for name in names]
        circle = (DependencySpec("x5"),) if n == 0 and move.number % 10 == 6 else ()
        tasks.append(
            PlanTaskSpec(
                task_id=f"x{n}",
                title=move.line(500) or None,
                description=move.text[:9000] if n % 2 else None,
                requires=_requires(move.number + n, 3),
                depends_on=(*edges, *circle),
                priority=(move.number + n) % 5 + 1,
                labels=some_labels(move) if n % 2 else None,
                payload=move.json() if n == 1 and len(move.text) < 1000 else None,
                lease_seconds=move.lasting or 60,
                retry=RETRIES[n % len(RETRIES)] if n % 2 else None,
            )
        )
    return SubmitPlan(
        plan_id=None if move.number % 7 == 6 else f"p{move.task % 4}",
        title=move.line(500),
        tasks=tuple(tasks),
        team_id=some_team(state, move) if move.number % 5 == 1 else None,
        form_team=TeamSpec(max_size=move.agent + 1) if move.number % 5 == 2 else None,
    )


def _cancel_plan(state: TenantState, move: Move, _now: int) -> Command:
    plans = sorted((not task.is_live(), task.id) for task in state.all(Task) if task.children)
    return CancelTask(task_id=plans[move.task % len(plans)][1] if plans else move.task_id)


def _form(_state: TenantState, move: Move, _now: int) -> Command:
    return FormTeam(
        team_id=None if move.number == 29 else move.team_id,
        goal=move.line(500),
        requires=_requires(move.number, 2),
        members=(MemberSpec(move.agent_id, move.line()),) if move.number % 3 else (),
        min_size=move.number % 2 + 1,
        max_size=move.number % 7 + 1,
    )


def _update_team(state: TenantState, move: Move, _now: int) -> Command:
    other = f"a{(move.agent + 1) % 4}"
    return UpdateTeam(
        team_id=some_team(state, move),
        goal=move.line(500) if move.number % 3 == 0 else None,
        add=(MemberSpec(move.agent_id, move.line() if move.number % 5 else "lead"),)
        if move.number % 4
        else (),
        remove=(other,) if move.number % 2 else (),
    )


def _disband(state: TenantState, move: Move, _now: int) -> Command:
    reason = move.line() if move.number % 3 else None
    return DisbandTeam(team_id=some_team(state, move), force=move.number % 2 == 0, reason=reason)


def _template(_state: TenantState, move: Move, _now: int) -> Command:
    return DefineTemplate(
        name=f"k{move.task % 3}",
        version=move.number // 5 + 1 if move.number % 3 == 0 else None,
        kind="llm",
        description=move.text,
        skills=tuple(SkillClaim(name, level) for name, level in some_levels(move.number)),
        labels=some_labels(move),
        max_concurrency=move.number % 3 + 1,
        heartbeat_seconds=move.lasting or None,
        settings=move.json() if move.number % 2 else None,
    )


def _instantiate(_state: TenantState, move: Move, _now: int) -> Command:
    return InstantiateAgent(
        template=f"k{move.task // 4}",
        version=move.number // 9 or None,
        agent_id=None if move.number == 29 else f"i{move.agent}",
        name=move.line() if move.number % 2 else None,
        labels=some_labels(move),
    )


KINDS: tuple[MessageKind, ...] = ("message", "question", "answer", "handoff", "note")


def _open(state: TenantState, move: Move, _now: int) -> Command:
    """A third of them with a first message."""
    tasks = sorted(task.id for task in state.all(Task))[move.task :][:1]
    says = move.number % 3 == 0
    return OpenConversation(
        conversation_id=None if move.number % 7 == 6 else f"v{move.task % 3}",
        topic="Again" if move.number % 2 else move.line(500),
        task_id=tasks[0] if tasks and move.number % 5 == 4 else None,
        team_id=some_team(state, move) if move.number % 5 == 1 else None,
        agent_id=move.agent_id if move.number % 4 else None,
        text=move.text if says else None,
        kind=KINDS[move.number % 5],
        data=move.json() if says and move.number % 2 and len(move.text) < 1000 else None,
        to=f"a{move.task % 4}" if says and move.number % 4 == 1 else None,
    )


def _some_conversation(state: TenantState, move: Move) -> str:
    """Mostly the id of a conversation that exists, open ones first."""
    known = sorted((not one.is_live(), one.id) for one in state.all(Conversation))
    return known[move.task % len(known)][1] if known and move.number else f"v{move.task}"


def _send(state: TenantState, move: Move, _now: int) -> Command:
    return SendMessage(
        conversation_id=_some_conversation(state, move),
        agent_id=move.agent_id if move.number % 4 else None,
        text=move.text,
        kind=KINDS[move.number % 5],
        data=move.json() if move.number % 3 == 1 and len(move.text) < 1000 else None,
        to=f"a{move.task % 4}" if move.number % 3 == 2 else None,
        reply_to={1: 1, 3: 2}.get(move.number % 5),
    )


def _close(state: TenantState, move: Move, now: int) -> Command:
    """Mostly something is said once more."""
    if move.number % 4:
        return _send(state, move, now)
    return CloseConversation(
        conversation_id=_some_conversation(state, move),
        agent_id=move.agent_id if move.number % 3 else None,
        reason=move.line() if move.number % 8 else None,
    )


COMPANY: dict[str, Make] = {
    "plan": _plan,
    "cancel plan": _cancel_plan,
    "form": _form,
    "update team": _update_team,
    "disband": _disband,
    "template": _template,
    "instantiate": _instantiate,
    "open": _open,
    "send": _send,
    "close": _close,
}
"""Kind of move -> what makes its command."""
