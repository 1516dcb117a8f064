"""What tools about budgets answer. Money in micros, millionths of the currency."""

from datetime import datetime

from pydantic import BaseModel, Field

from agent_orchestration.core.tool import Output


class BudgetView(BaseModel):
    """A budget as the graph has it."""

    id: str
    scope: str = Field(description="tenant, team, agent, or task with its subtasks")
    team_id: str | None = None
    agent_id: str | None = None
    task_id: str | None = None
    limit_micros: int
    spent_micros: int
    reserved_micros: int = Field(description="set aside for calls that are going on")
    left_micros: int = Field(description="below 0: more was spent than the limit allows")
    spent_tokens: int
    on_exceeded: str
    set_at: datetime


class BudgetAnswer(Output):
    """A budget, and the sequence number at which it was so."""

    budget: BudgetView
    seq: int


class Budgets(Output):
    """A page of budgets."""

    budgets: list[BudgetView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


class SpendAnswer(Output):
    """What is known of a call."""

    spend_id: str
    status: str = Field(description="reserved, settled, unconfirmed or released")
    cost_micros: int | None = Field(default=None, description="what it counts as spent")
    overrun_micros: int | None = Field(
        default=None, description="how much of it is beyond what was reserved"
    )
    seq: int


class UsageView(BaseModel):
    """What was spent by, on or for one of what is asked by."""

    key: str = Field(description="id of the task, agent or team, or the model's name")
    calls: int
    cost_micros: int = Field(description="spent, what is unconfirmed included")
    overrun_micros: int = Field(description="how much of it is beyond what was reserved")
    reserved_micros: int = Field(description="set aside for calls that are going on")
    unconfirmed_micros: int = Field(
        description="how much of the cost was assumed: the attempt ended before it was said"
    )
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="some of the prompt_tokens")
    milliseconds: int


class Usage(Output):
    """What was spent, the dearest first."""

    usage: list[UsageView]
    more: bool = Field(description="there are more than were asked for with `limit`")
    seq: int
