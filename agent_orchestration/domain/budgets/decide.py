"""Decisions about budgets and what is spent."""

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.guards import known, refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.commands import (
    ReleaseSpend,
    ReserveSpend,
    SetBudget,
    SettleSpend,
)
from agent_orchestration.domain.budgets.events import (
    BudgetSet,
    SpendReleased,
    SpendReserved,
    SpendSettled,
)
from agent_orchestration.domain.budgets.model import Budget, Spend, budget_id
from agent_orchestration.domain.tasks.guards import held_task
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.model import Team

STRICTEST_FIRST = ("stop", "ask", "pause")
SETTLED = ("cost_micros", "prompt_tokens", "completion_tokens", "cached_tokens", "milliseconds")


def set_budget(
    state: TenantState, command: SetBudget, _context: CommandContext
) -> BudgetSet | Nothing:
    """A new limit, also one below what is spent: nothing more may be spent then."""
    named = _scope_of(state, command)
    budget = state.get(Budget, named)
    on_exceeded = command.on_exceeded or (budget.on_exceeded if budget is not None else "stop")
    wanted = (command.limit_micros, on_exceeded)
    if budget is not None and (budget.limit_micros, budget.on_exceeded) == wanted:
        return Nothing({"budget_id": named})
    return BudgetSet(
        budget_id=named,
        team_id=command.team_id,
        agent_id=command.agent_id,
        task_id=command.task_id,
        limit_micros=command.limit_micros,
        on_exceeded=on_exceeded,
    )


def reserve_spend(
    state: TenantState, command: ReserveSpend, _context: CommandContext
) -> SpendReserved | Nothing:
    """All budgets that apply allow it, or it is refused."""
    spend = state.get(Spend, command.spend_id)
    if spend is not None and _same_call(spend, command):
        return Nothing(_told(spend))
    refuse_taken(state, Spend, command.spend_id)
    task = held_task(state, command)
    budgets = _budgets_of(state, task, command.agent_id)
    exceeded = [one for one in budgets if command.amount_micros > one.left_micros]
    if exceeded:
        strictest = min(exceeded, key=lambda b: (STRICTEST_FIRST.index(b.on_exceeded), b.id))
        raise _exceeded(strictest, command.amount_micros)
    return SpendReserved(
        spend_id=command.spend_id,
        task_id=task.id,
        agent_id=command.agent_id,
        team_id=task.team_id,
        attempt=command.attempt,
        model=command.model,
        amount_micros=command.amount_micros,
        budget_ids=tuple(one.id for one in budgets),
    )


def settle_spend(
    state: TenantState, command: SettleSpend, _context: CommandContext
) -> SpendSettled | Nothing:
    """What it really cost counts. The money is gone, so this is refused neither after the attempt
    nor beyond a limit."""
    spend = _own_spend(state, command)
    if command.cached_tokens > command.prompt_tokens:
        raise Rejected(
            "invalid_argument",
            f"cached_tokens: {command.cached_tokens} are more than prompt_tokens,"
            f" {command.prompt_tokens}, which include them; send both as the provider counts them",
            field="cached_tokens",
        )
    if spend.status == "settled" and all(
        getattr(spend, field) == getattr(command, field) for field in SETTLED
    ):
        return Nothing(_told(spend))
    if not spend.is_live():
        raise _over(spend)
    return SpendSettled(
        spend_id=spend.id,
        cost_micros=command.cost_micros,
        overrun_micros=max(command.cost_micros - spend.reserved_micros, 0),
        prompt_tokens=command.prompt_tokens,
        completion_tokens=command.completion_tokens,
        cached_tokens=command.cached_tokens,
        milliseconds=command.milliseconds,
    )


def release_spend(
    state: TenantState, command: ReleaseSpend, _context: CommandContext
) -> SpendReleased | Nothing:
    """Nothing was spent; also said late by whoever lost the task meanwhile."""
    spend = _own_spend(state, command)
    if spend.status == "released":
        return Nothing(_told(spend))
    if not spend.is_live():
        raise _over(spend)
    return SpendReleased(spend_id=spend.id)


def _scope_of(state: TenantState, command: SetBudget) -> str:
    """The id of the budget of what is named, which must be known, and one thing at most."""
    given = [
        field for field in ("team_id", "agent_id", "task_id") if getattr(command, field) is not None
    ]
    if len(given) > 1:
        raise Rejected(
            "invalid_argument",
            f"{given[1]}: {given[0]} is given as well; a budget is for one of them",
            field=given[1],
        )
    if command.team_id is not None:
        return budget_id("team", known(state, Team, command.team_id).id)
    if command.agent_id is not None:
        return budget_id("agent", known(state, Agent, command.agent_id).id)
    if command.task_id is not None:
        return budget_id("task", known(state, Task, command.task_id).id)
    return budget_id("tenant")


def _budgets_of(state: TenantState, task: Task, agent_id: str) -> list[Budget]:
    """The budgets that a call for the task is charged to, in order of id: those of the tenant, the
    agent, the task, its team and its plan, as far as there are any. Plans are in no plan."""
    scopes = [budget_id("tenant"), budget_id("agent", agent_id), budget_id("task", task.id)]
    if task.team_id is not None:
        scopes.append(budget_id("team", task.team_id))
    if task.parent_id is not None:
        scopes.append(budget_id("task", task.parent_id))
    found = (state.get(Budget, one) for one in sorted(scopes))
    return [one for one in found if one is not None]


def _same_call(spend: Spend, command: ReserveSpend) -> bool:
    asked = (command.task_id, command.agent_id, command.attempt, command.model)
    said = (spend.task_id, spend.agent_id, spend.attempt, spend.model)
    return asked == said and command.amount_micros == spend.reserved_micros


def _own_spend(state: TenantState, command: SettleSpend | ReleaseSpend) -> Spend:
    spend = state.get(Spend, command.spend_id)
    if spend is None:
        raise NotFound(
            "unknown_spend",
            f"spend_id: there is no spend {command.spend_id}; reserve_spend comes first",
            field="spend_id",
            spend_id=command.spend_id,
        )
    if spend.agent_id != command.agent_id:
        raise Rejected(
            "not_your_spend",
            f"agent_id: spend {spend.id} was reserved by agent {spend.agent_id}, not by"
            f" {command.agent_id}; name the agent that made the call",
            field="agent_id",
            spend_id=spend.id,
        )
    return spend


def _exceeded(budget: Budget, amount: int) -> Rejected:
    whose = budget.team_id or budget.agent_id or budget.task_id
    name = f"{budget.scope} {whose}" if whose else "the tenant"
    return Rejected(
        "budget_exceeded",
        f"amount_micros: {amount} is more than the {budget.left_micros} left of the budget of"
        f" {name} (limit {budget.limit_micros}, spent {budget.spent_micros}, reserved"
        f" {budget.reserved_micros}); reserve less, or have the limit raised with set_budget",
        field="amount_micros",
        budget_id=budget.id,
        scope=budget.scope,
        limit_micros=budget.limit_micros,
        left_micros=budget.left_micros,
        on_exceeded=budget.on_exceeded,
    )


def _over(spend: Spend) -> Rejected:
    return Rejected(
        "wrong_status",
        f"spend_id: spend {spend.id} is {spend.status} already (cost_micros {spend.cost_micros});"
        " for another call reserve another spend",
        field="spend_id",
        spend_id=spend.id,
        status=spend.status,
    )


def _told(spend: Spend) -> dict[str, object]:
    """What somebody is told who says again what is known."""
    return {
        "spend_id": spend.id,
        "status": spend.status,
        "cost_micros": spend.cost_micros,
        "overrun_micros": spend.overrun_micros,
    }
