"""Calls of a language model within budgets: reserved before, settled after."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from agent_orchestration.backends.llm import ChatAnswer, ToolSpec
from agent_orchestration.core.errors import (
    Forbidden,
    NotFound,
    PlatformError,
    Rejected,
    Unavailable,
)
from agent_orchestration.core.messages import canonical
from agent_orchestration.domain.tasks.model import WORKER_STOPPED
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.prices import Price, PriceList

LATER_SECONDS = 300.0
"""When a task is tried again for which there is no money at the moment."""
ASKED_SECONDS = 60.0
"""The most where somebody was asked: it is 2 seconds at first, and twice as long each time."""

logger = logging.getLogger(__name__)


class Bill(msgspec.Struct, frozen=True):
    """What a call cost, of which reservation of which agent."""

    spend_id: str
    agent_id: str
    cost_micros: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    milliseconds: int


Keep = Callable[[ChatAnswer, Bill], None]


class Purse:
    """Pays for what an agent asks of models. `calls` are the agent's own."""

    def __init__(self, calls: PatientCalls, prices: PriceList) -> None:
        self._calls = calls
        self._prices = prices

    async def paid(
        self,
        task: HeldTask,
        model: str,
        number: int,
        most: int,
        ask: Callable[[], Awaitable[ChatAnswer]],
        *,
        keep: Keep,
    ) -> ChatAnswer:
        """The answer of `ask`, the attempt's call with this number, which costs as much as `most`
        micros. `keep` is told of it before anybody else.

        Raises `TaskError` where a budget does not allow it: as that says, it ends the task with
        `budget_exceeded` or gives it back for later, maybe after somebody was asked. Of a call that
        broke nobody knows whether it was billed: it stays reserved, and counts in full when the
        attempt ends.
        """
        spend_id = _spend_id(task, number)
        await self._reserve(task, model, spend_id, most)
        try:
            answer = await ask()
        except PlatformError as error:
            if error.details.get("may_be_billed", isinstance(error, Unavailable)):
                raise
            await self._calls(
                "release_spend",
                spend_id=spend_id,
                agent_id=task.agent_id,
                idempotency_key=spend_id,
            )
            raise
        usage = answer.usage
        bill = Bill(
            spend_id,
            task.agent_id,
            self._prices.of(model).cost(
                usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
            ),
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            round(answer.seconds * 1000),
        )
        keep(answer, bill)
        await self._settle(bill)
        return answer

    async def settle_again(self, bill: Bill) -> None:
        """Settle what was kept with an answer, in case that this could not be said any more."""
        try:
            await self._settle(bill)
        except (Forbidden, NotFound, Rejected) as error:
            # Reserved by another agent, or where another log was kept: not for this one to settle.
            logger.warning("what a recorded answer cost is not settled: %s", error.reason)

    async def _settle(self, bill: Bill) -> None:
        words = msgspec.structs.asdict(bill)
        await self._calls("settle_spend", idempotency_key=bill.spend_id, **words)

    def price(self, model: str) -> Price:
        """What the model costs. Raises `TaskError` where nobody says."""
        try:
            return self._prices.of(model)
        except Rejected as error:
            raise TaskError(error.reason, error_type=error.code, retryable=False) from error

    async def _reserve(self, task: HeldTask, model: str, spend_id: str, most: int) -> None:
        try:
            await self._calls(
                "reserve_spend",
                id=spend_id,
                task_id=task.id,
                agent_id=task.agent_id,
                attempt=task.attempt,
                model=model,
                amount_micros=most,
                idempotency_key=spend_id,
            )
        except Rejected as error:
            if error.code != "budget_exceeded":
                raise
            on_exceeded = error.details.get("on_exceeded")
            if on_exceeded == "stop":
                raise TaskError(error.reason, error_type=error.code, retryable=False) from error
            later = LATER_SECONDS
            if on_exceeded == "ask":
                await self._ask(task, model, most, error.details)
                later = min(2.0 ** min(task.attempt, 10), ASKED_SECONDS)
            # Nothing is wrong with the task: however often it waits, that uses up no attempt.
            raise TaskError(
                error.reason, error_type=WORKER_STOPPED, retry_after_seconds=later
            ) from error

    async def _ask(
        self, task: HeldTask, model: str, most: int, exceeded: Mapping[str, Any]
    ) -> None:
        """Put the question to whoever may raise the limit: once for the task and this limit."""
        budget_id, limit, left = (
            exceeded[name] for name in ("budget_id", "limit_micros", "left_micros")
        )
        scope, _, whose = budget_id.partition(":")
        enough = limit - left + most
        words = f"set_budget limit_micros={enough}" + (f" {scope}_id={whose}" if whose else "")
        text = (
            f"May task {task.id} ({task.title}) go on? Its next call of {model} costs up to {most}"
            f" micros, and the budget {budget_id} has {left} left of {limit}. To allow that one,"
            f" raise the limit to at least {enough}: {words}. The task is tried again by itself."
        )
        try:
            await self._calls(
                "open_conversation",
                id=_question_id(task, budget_id, limit),
                topic=f"No money for task {task.id}",
                task_id=task.id,
                agent_id=task.agent_id,
                kind="question",
                text=text,
                data={
                    "budget_id": budget_id,
                    "limit_micros": limit,
                    "left_micros": left,
                    "needed_micros": most,
                    "enough_micros": enough,
                },
            )
        except Rejected as error:
            if error.code != "already_exists":
                raise


def most_micros(
    price: Price, messages: Sequence[Any], tools: Sequence[ToolSpec], max_tokens: int
) -> int:
    """What a call costs at most. No token is shorter than a byte, so a request has no more tokens
    than bytes."""
    request = canonical([list(messages), [[t.name, t.description, t.parameters] for t in tools]])
    return price.cost(len(request), max_tokens)


def _spend_id(task: HeldTask, number: int) -> str:
    return f"call-{_digest(f'{task.id}:{task.attempt}:{number}')}"


def _question_id(task: HeldTask, budget_id: str, limit: int) -> str:
    return f"budget-{_digest(f'{task.id} {budget_id} {limit}')}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
