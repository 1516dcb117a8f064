"""The moves about budgets and what is spent."""

from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.budgets.commands import (
    ReleaseSpend,
    ReserveSpend,
    SetBudget,
    SettleSpend,
)
from agent_orchestration.domain.budgets.model import OnExceeded, Spend
from tests.properties.move import Make, Move, some_lease, some_task, some_team

ON_EXCEEDED: tuple[OnExceeded, ...] = ("stop", "ask", "pause")


def _set(state: TenantState, move: Move, _now: int) -> Command:
    scope = move.number % 5
    return SetBudget(
        team_id=some_team(state, move) if scope == 1 else None,
        agent_id=move.agent_id if scope == 2 else None,
        task_id=some_task(state, move) if scope in (3, 4) else None,
        limit_micros=move.task * 100,
        on_exceeded=ON_EXCEEDED[move.number % 3] if move.number % 2 else None,
    )


def _reserve(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    return ReserveSpend(
        spend_id=f"s{move.number}",
        task_id=task,
        agent_id=agent,
        attempt=attempt,
        model=move.line() or "m",
        amount_micros=move.number * 10,
    )


def _some_spend(state: TenantState, move: Move) -> tuple[str, str]:
    """A spend and who reserved it: mostly one that is still open, sometimes another's, or made
    up."""
    known = sorted((not one.is_live(), one.id, one.agent_id or "") for one in state.all(Spend))
    if not known or move.number == 0:
        return f"s{move.number}", move.agent_id
    _, spend_id, agent_id = known[move.task * 2 % len(known)]
    return spend_id, move.agent_id if move.number == 1 else agent_id


def _settle(state: TenantState, move: Move, _now: int) -> Command:
    spend_id, agent_id = _some_spend(state, move)
    return SettleSpend(
        spend_id=spend_id,
        agent_id=agent_id,
        cost_micros=move.number * 10 + move.task * 10 - 50 if move.number > 5 else 0,
        prompt_tokens=move.number,
        completion_tokens=move.task,
        cached_tokens=move.task,
        milliseconds=move.lasting,
    )


def _release(state: TenantState, move: Move, _now: int) -> Command:
    spend_id, agent_id = _some_spend(state, move)
    return ReleaseSpend(spend_id=spend_id, agent_id=agent_id)


BUDGETS: dict[str, Make] = {
    "set budget": _set,
    "reserve": _reserve,
    "settle": _settle,
    "release spend": _release,
}
"""Kind of move -> what makes its command."""
