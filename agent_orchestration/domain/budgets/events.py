"""Facts about budgets and what is spent. Money in micros, millionths of the currency."""

from agent_orchestration.core.messages import Event
from agent_orchestration.domain.budgets.model import OnExceeded


class BudgetSet(Event, frozen=True, kw_only=True):
    """There is a budget, or its limit changed. Without team, agent and task it is the tenant's."""

    ABOUT = "budget_id"
    REPLY = ("budget_id",)

    budget_id: str
    team_id: str | None
    agent_id: str | None
    task_id: str | None
    limit_micros: int
    on_exceeded: OnExceeded


class SpendReserved(Event, frozen=True, kw_only=True):
    """A call may be made: the amount is set aside in all of these budgets."""

    ABOUT = "spend_id"
    REPLY = ("spend_id",)

    spend_id: str
    task_id: str
    agent_id: str
    team_id: str | None
    attempt: int
    model: str
    amount_micros: int
    budget_ids: tuple[str, ...]


class SpendSettled(Event, frozen=True, kw_only=True):
    """A call was made and cost this, `overrun_micros` of it more than was reserved."""

    ABOUT = "spend_id"
    REPLY = ("spend_id", "cost_micros", "overrun_micros")

    spend_id: str
    cost_micros: int
    overrun_micros: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    milliseconds: int


class SpendReleased(Event, frozen=True, kw_only=True):
    """A call was never made: it costs nothing."""

    ABOUT = "spend_id"
    REPLY = ("spend_id",)

    spend_id: str
