"""What facts about budgets and spends change. What the end of an attempt means for its
reservations stands with the tasks."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.budgets.events import (
    BudgetSet,
    SpendReleased,
    SpendReserved,
    SpendSettled,
)
from agent_orchestration.domain.budgets.model import Budget, Spend


def budget_set(state: TenantState, event: BudgetSet, context: EventContext) -> None:
    """The limit from now on; what was spent stays spent."""
    if state.has(Budget, event.budget_id):
        budget = state.change(Budget, event.budget_id)
        budget.limit_micros = event.limit_micros
        budget.on_exceeded = event.on_exceeded
        return
    state.add(
        Budget(
            id=event.budget_id,
            team_id=event.team_id,
            agent_id=event.agent_id,
            task_id=event.task_id,
            limit_micros=event.limit_micros,
            on_exceeded=event.on_exceeded,
            set_at=context.at,
        )
    )


def spend_reserved(state: TenantState, event: SpendReserved, context: EventContext) -> None:
    """Set aside at all levels at once."""
    for one in event.budget_ids:
        state.change(Budget, one).reserved_micros += event.amount_micros
    state.add(
        Spend(
            id=event.spend_id,
            task_id=event.task_id,
            agent_id=event.agent_id,
            team_id=event.team_id,
            budget_ids=event.budget_ids,
            attempt=event.attempt,
            model=event.model,
            reserved_micros=event.amount_micros,
            at=context.at,
        )
    )


def spend_settled(state: TenantState, event: SpendSettled, _context: EventContext) -> None:
    """What it cost takes the place of what was reserved or assumed."""
    spend = state.change(Spend, event.spend_id)
    tokens = event.prompt_tokens + event.completion_tokens
    spend.end(state, "settled", event.cost_micros, tokens)
    spend.overrun_micros = event.overrun_micros
    spend.prompt_tokens = event.prompt_tokens
    spend.completion_tokens = event.completion_tokens
    spend.cached_tokens = event.cached_tokens
    spend.milliseconds = event.milliseconds


def spend_released(state: TenantState, event: SpendReleased, _context: EventContext) -> None:
    """It costs nothing."""
    state.change(Spend, event.spend_id).end(state, "released", 0)
