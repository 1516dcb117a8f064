"""Tools about budgets and what is spent. Money in micros, millionths of the currency."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from agent_orchestration.core.messages import CommandResult
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import Attempt, Cursor, Id, Instant, Key, Line, PageLimit
from agent_orchestration.domain.budgets.commands import (
    ReleaseSpend,
    ReserveSpend,
    SetBudget,
    SettleSpend,
)
from agent_orchestration.domain.budgets.model import (
    MOST_LIMIT,
    MOST_MICROS,
    MOST_MILLISECONDS,
    MOST_TOKENS,
    OnExceeded,
    Scope,
    SpendStatus,
)
from agent_orchestration.domain.budgets.views import (
    BudgetAnswer,
    Budgets,
    BudgetView,
    SpendAnswer,
    Usage,
    UsageView,
)

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""What a range of time is where the caller names no end of it."""
SpendId = Annotated[Id, Field(description="the `id` given to reserve_spend")]
Holder = Annotated[Id, Field(description="the agent that makes the call")]
TokenCount = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


@tool(title="Set a budget", role=Role.OPERATOR, toolsets=("admin",))
async def set_budget(
    gateway: Gateway,
    limit_micros: Annotated[
        int,
        Field(ge=0, le=MOST_LIMIT, description="millionths of the currency; 0: spend nothing"),
    ],
    team_id: Annotated[Id | None, Field(description="limit what this team's tasks cost")] = None,
    agent_id: Annotated[Id | None, Field(description="limit what this agent spends")] = None,
    task_id: Annotated[
        Id | None, Field(description="limit what this task or plan costs, with its subtasks")
    ] = None,
    on_exceeded: Annotated[
        OnExceeded | None,
        Field(
            description="what a worker does with a task without money: `stop` (default) fails it"
            " for good, `pause` gives it back for later, `ask` gives it back and asks a person"
        ),
    ] = None,
    idempotency_key: Key | None = None,
) -> BudgetAnswer:
    """Limit what may be spent on model calls: by the tenant, or by the team or agent or for the
    task that you name. It counts from when it is first set. A limit below what is spent already
    is allowed: then nothing more may be spent."""
    command = SetBudget(
        team_id=team_id,
        agent_id=agent_id,
        task_id=task_id,
        limit_micros=limit_micros,
        on_exceeded=on_exceeded,
    )
    result = await gateway.submit(command, key=idempotency_key)
    rows = await gateway.ask(
        "budgets",
        at_least=result.seq,
        budget_id=result.data["budget_id"],
        scope=None,
        after_id="",
        limit=1,
    )
    budget = BudgetView.model_validate(rows[0])
    return BudgetAnswer(budget=budget, seq=max(result.seq, rows.seq), stale=rows.stale or None)


@tool(title="Reserve money for a call", role=Role.AGENT, toolsets=("worker",))
async def reserve_spend(
    gateway: Gateway,
    id: Annotated[
        Id, Field(description="your id for this one call; with the same id it is reserved once")
    ],
    task_id: Annotated[Id, Field(description="the task that the call is for")],
    agent_id: Holder,
    attempt: Annotated[Attempt, Field(description="the `attempt` that the claim answered")],
    model: Annotated[Line, Field(description="the model's name")],
    amount_micros: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_MICROS,
            description="what the call costs at most, in millionths of the currency",
        ),
    ],
    idempotency_key: Key | None = None,
) -> SpendAnswer:
    """Before you call a model: set aside what it costs at most, in every budget that applies.

    Refused (`budget_exceeded`) where one of them has less left; `on_exceeded` then says what to do
    with the task. Afterwards call settle_spend, or release_spend where there was no call.
    """
    command = ReserveSpend(
        spend_id=id,
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        model=model,
        amount_micros=amount_micros,
    )
    return _answer(await gateway.submit(command, key=idempotency_key), "reserved")


@tool(title="Settle what a call cost", role=Role.AGENT, toolsets=("worker",))
async def settle_spend(
    gateway: Gateway,
    spend_id: SpendId,
    agent_id: Holder,
    cost_micros: Annotated[
        int,
        Field(
            ge=0, le=MOST_MICROS, description="what it really cost, in millionths of the currency"
        ),
    ],
    prompt_tokens: Annotated[TokenCount, Field(description="cached ones included")] = 0,
    completion_tokens: Annotated[TokenCount, Field(description="tokens that were produced")] = 0,
    cached_tokens: Annotated[
        TokenCount, Field(description="how many prompt tokens were cached")
    ] = 0,
    milliseconds: Annotated[
        int, Field(ge=0, le=MOST_MILLISECONDS, description="how long the call took")
    ] = 0,
    idempotency_key: Key | None = None,
) -> SpendAnswer:
    """After a call: what it really cost takes the place of what was reserved, also where it is
    more, and also when the attempt is over by now."""
    command = SettleSpend(
        spend_id=spend_id,
        agent_id=agent_id,
        cost_micros=cost_micros,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=cached_tokens,
        milliseconds=milliseconds,
    )
    return _answer(await gateway.submit(command, key=idempotency_key), "settled")


@tool(title="Release what was reserved", role=Role.AGENT, toolsets=("worker",))
async def release_spend(
    gateway: Gateway,
    spend_id: SpendId,
    agent_id: Holder,
    idempotency_key: Key | None = None,
) -> SpendAnswer:
    """The call was never made: what was reserved for it may be spent on others."""
    command = ReleaseSpend(spend_id=spend_id, agent_id=agent_id)
    return _answer(await gateway.submit(command, key=idempotency_key), "released")


@tool(title="List budgets", role=Role.VIEWER, toolsets=("admin",), read_only=True)
async def list_budgets(
    gateway: Gateway,
    scope: Annotated[Scope | None, Field(description="only those of this kind")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Budgets:
    """List budgets page by page, in order of id: what is allowed, spent, reserved and left."""
    rows = await gateway.ask(
        "budgets", budget_id=None, scope=scope, after_id=cursor or "", limit=limit + 1
    )
    found = [BudgetView.model_validate(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Budgets(budgets=found, next_cursor=more, stale=rows.stale or None)


@tool(title="Get usage", role=Role.VIEWER, toolsets=("admin",), read_only=True)
async def get_usage(
    gateway: Gateway,
    by: Annotated[
        Literal["task", "agent", "team", "model"], Field(description="what to add up for")
    ] = "task",
    task_id: Annotated[
        Id | None, Field(description="only for this task or plan, with its subtasks")
    ] = None,
    since: Annotated[
        Instant | None, Field(description="only calls reserved at or after it")
    ] = None,
    until: Annotated[Instant | None, Field(description="only calls reserved before it")] = None,
    limit: PageLimit = 50,
) -> Usage:
    """What calls to models cost, and how many tokens they used, with or without budgets: by task,
    agent, team or model, the dearest first."""
    first, last = EVER
    rows = await gateway.ask(
        f"usage_by_{by}",
        task_id=task_id,
        since=since or first,
        until=until or last,
        limit=limit + 1,
    )
    return Usage(
        usage=[_usage(row) for row in rows[:limit]],
        more=len(rows) > limit,
        seq=rows.seq,
        stale=rows.stale or None,
    )


def _answer(result: CommandResult, done: SpendStatus) -> SpendAnswer:
    """From the outcome alone; where there was nothing to do, it says what is known."""
    return SpendAnswer.model_validate({"status": done, **result.data, "seq": result.seq})


def _usage(row: dict[str, Any]) -> UsageView:
    key = row.pop("model") if "model" in row else row.pop("id")
    return UsageView(key=key, **row)
