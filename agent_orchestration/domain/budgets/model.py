"""The entities `Budget` and `Spend`, and how amounts move from one to the other.

Money is counted in micros, millionths of the currency: integers, so that sums are exact.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from agent_orchestration.core.entities import Entity, Index, Relationship, Time
from agent_orchestration.core.state import TenantState

MOST_MICROS = 10**12
"""What one call may cost: a million of the currency."""
MOST_LIMIT = 10**15
"""What a budget may allow. Sums of both stay far below 64 bits."""
MOST_TOKENS = 10**9
MOST_MILLISECONDS = 7 * 24 * 3600 * 1000

Micros = Annotated[int, Meta(ge=0, le=MOST_MICROS)]
LimitMicros = Annotated[int, Meta(ge=0, le=MOST_LIMIT)]
Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
Milliseconds = Annotated[int, Meta(ge=0, le=MOST_MILLISECONDS)]
Scope = Literal["tenant", "team", "agent", "task"]
OnExceeded = Literal["stop", "ask", "pause"]
SpendStatus = Literal["reserved", "settled", "unconfirmed", "released"]


def budget_id(scope: Scope, scope_id: str = "") -> str:
    """The id of the one budget of a scope; the tenant's scope has no id of its own."""
    return f"{scope}:{scope_id}" if scope_id else scope


class Budget(Entity, kw_only=True):
    """How much may be spent on model calls by a tenant, a team or an agent, or for a task.

    At most one of `team_id`, `agent_id` and `task_id` is there; without any it is the tenant's. A
    task's budget includes its subtasks. `on_exceeded` is what a worker is told to do with a task
    for which there is no money: fail it for good, give it back and ask a person, or give it back
    for later. Amounts count from when the budget was first set.
    """

    LABEL = "Budget"
    RELATIONSHIPS = (
        Relationship("LIMITS_TEAM", "team_id", "Team"),
        Relationship("LIMITS_AGENT", "agent_id", "Agent"),
        Relationship("LIMITS_TASK", "task_id", "Task"),
    )
    DERIVED = ("scope",)

    team_id: str | None = None
    agent_id: str | None = None
    task_id: str | None = None
    limit_micros: int
    spent_micros: int = 0
    reserved_micros: int = 0
    spent_tokens: int = 0
    on_exceeded: OnExceeded = "stop"
    set_at: Time = 0

    @property
    def scope(self) -> Scope:
        """What it limits."""
        if self.team_id is not None:
            return "team"
        if self.agent_id is not None:
            return "agent"
        return "tenant" if self.task_id is None else "task"

    @property
    def left_micros(self) -> int:
        """What may still be reserved; below 0 where calls cost more than was reserved, or where
        the limit was lowered."""
        return self.limit_micros - self.spent_micros - self.reserved_micros


class Spend(Entity, kw_only=True):
    """A call to a language model: what was reserved for it, and what it cost.

    `cost_micros` is what it counts as spent in the budgets that it is charged to: nothing while it
    is reserved, the whole reservation where its attempt ended and nobody said what it cost
    (unconfirmed). `cached_tokens` are some of the `prompt_tokens`.
    """

    LABEL = "Spend"
    RELATIONSHIPS = (
        Relationship("SPENT_ON", "task_id", "Task"),
        Relationship("SPENT_BY", "agent_id", "Agent"),
        Relationship("SPENT_FOR", "team_id", "Team"),
        Relationship("CHARGED_TO", "budget_ids", "Budget"),
    )
    INDEXES = (Index("spend_at_index", ("at",)), Index("spend_status_index", ("status",)))
    LIVE = "n.status IN ['reserved', 'unconfirmed']"

    # Every spend has a task and an agent; a node by itself, without its relationships, has not.
    task_id: str | None = None
    agent_id: str | None = None
    team_id: str | None = None
    budget_ids: tuple[str, ...] = ()
    attempt: int
    model: str
    status: SpendStatus = "reserved"
    reserved_micros: int
    cost_micros: int = 0
    overrun_micros: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    milliseconds: int = 0
    at: Time = 0

    def is_live(self) -> bool:
        """What a call cost may be said until it was said, however late."""
        return self.status in ("reserved", "unconfirmed")

    def end(
        self, state: TenantState, status: SpendStatus, cost_micros: int, tokens: int = 0
    ) -> None:
        """From `evolve`: it is not reserved any more, and counts as this cost in its budgets."""
        reserved = self.reserved_micros if self.status == "reserved" else 0
        for one in self.budget_ids:
            budget = state.change(Budget, one)
            budget.reserved_micros -= reserved
            budget.spent_micros += cost_micros - self.cost_micros
            budget.spent_tokens += tokens
        self.status = status
        self.cost_micros = cost_micros


def unconfirm(state: TenantState, spend_ids: Iterable[str]) -> None:
    """From `evolve`: the attempt of these reserved spends ended. Whether the calls were made nobody
    knows, so they count in full."""
    for spend_id in spend_ids:
        spend = state.change(Spend, spend_id)
        spend.end(state, "unconfirmed", spend.reserved_micros)
