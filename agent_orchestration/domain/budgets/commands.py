"""Intentions about budgets and what is spent."""

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Attempt, Id, Line
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.model import (
    LimitMicros,
    Micros,
    Milliseconds,
    OnExceeded,
    Spend,
    Tokens,
)
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.model import Team

Needs = tuple[tuple[type[Entity], str], ...]


class SetBudget(Command, frozen=True, kw_only=True):
    """Limit what is spent by a team or an agent, for a task, or by the tenant where none of them is
    named; `on_exceeded` stays as it is where it is None."""

    team_id: Id | None = None
    agent_id: Id | None = None
    task_id: Id | None = None
    limit_micros: LimitMicros
    on_exceeded: OnExceeded | None = None

    def needs(self) -> Needs:
        """What it limits."""
        named = ((Team, self.team_id), (Agent, self.agent_id), (Task, self.task_id))
        return tuple((cls, one) for cls, one in named if one is not None)


class ReserveSpend(Command, frozen=True, kw_only=True):
    """The holder of a task wants to call a model, which costs `amount_micros` at most."""

    WORK = "goes on"

    spend_id: Id
    task_id: Id
    agent_id: Id
    attempt: Attempt
    model: Line
    amount_micros: Micros

    def needs(self) -> Needs:
        """The task, and the spend in case the id is taken."""
        return ((Task, self.task_id), (Spend, self.spend_id))


class SettleSpend(Command, frozen=True, kw_only=True):
    """The call was made: what it cost and used. `cached_tokens` are some of `prompt_tokens`."""

    WORK = "ends"

    spend_id: Id
    agent_id: Id
    cost_micros: Micros
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cached_tokens: Tokens = 0
    milliseconds: Milliseconds = 0

    def needs(self) -> Needs:
        """The spend."""
        return ((Spend, self.spend_id),)


class ReleaseSpend(Command, frozen=True, kw_only=True):
    """The call was never made."""

    WORK = "ends"

    spend_id: Id
    agent_id: Id

    def needs(self) -> Needs:
        """The spend."""
        return ((Spend, self.spend_id),)
