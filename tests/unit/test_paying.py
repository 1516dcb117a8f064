"""Calls of a language model are paid: reserved before, settled after, not made without money."""

from typing import Any

import pytest

from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.prices import PriceList
from agent_orchestration.workers.worker import Change, Worker
from tests.unit.test_llm_agent import Desk, call


async def test_every_call_is_reserved_and_settled() -> None:
    desk = Desk([call()], "It is 2.")
    await desk.attempt()
    # Ten tokens of the prompt and five of the answer, twice.
    assert list(desk.platform.spends.values()) == [("settled", 35), ("settled", 35)]
    assert desk.platform.calls["reserve_spend"] == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Rejected("model_refused", "no"), "released"),
        (Busy("model_busy", "later"), "released"),
        # A request before the one that was refused broke; and one that was not made at all.
        (Busy("model_busy", "later", may_be_billed=True), "reserved"),
        (Unavailable("model_circuit_open", "later", may_be_billed=False), "released"),
        (Unavailable("model_timeout", "no answer"), "reserved"),
    ],
)
async def test_a_call_that_broke_is_released_where_nothing_was_billed(
    error: PlatformError, status: str
) -> None:
    desk = Desk(error)
    await desk.attempt()
    [(found, _)] = desk.platform.spends.values()
    assert found == status


def without_money(desk: Desk, on_exceeded: str, limit: int = 7) -> None:
    """From now on a budget refuses every call."""
    details = {"budget_id": "team:crew", "limit_micros": limit, "left_micros": -2}

    def exceeded(tool: str, _number: int) -> PlatformError | None:
        if tool != "reserve_spend":
            return None
        return Rejected("budget_exceeded", "nothing is left", on_exceeded=on_exceeded, **details)

    desk.platform.before = exceeded


async def refused_attempt(desk: Desk) -> dict[str, Any]:
    """How an attempt failed that a budget did not allow."""
    desk.task.error = None
    desk.task.status, desk.task.retry_at = "ready", None

    def end(_task: HeldTask, change: Change) -> None:
        if change == "failed":
            worker.drain()

    worker = Worker(desk.platform, "ann", desk.agent, watch=end)
    await worker.run()
    assert desk.model.asked == []
    assert desk.task.error is not None
    return desk.task.error


@pytest.mark.parametrize(
    ("on_exceeded", "error_type", "after", "questions"),
    [
        ("stop", "budget_exceeded", None, 0),
        ("pause", "worker_stopped", 300, 0),
        ("ask", "worker_stopped", 2, 1),
    ],
)
async def test_what_a_budget_does_not_allow_is_not_asked(
    on_exceeded: str, error_type: str, after: float | None, questions: int
) -> None:
    desk = Desk("never said")
    without_money(desk, on_exceeded)
    error = await refused_attempt(desk)
    assert (error["error_type"], error["retry_after_seconds"]) == (error_type, after)
    assert error["retryable"] == (on_exceeded != "stop")
    assert len(desk.platform.conversations) == questions


async def test_somebody_is_asked_once_for_each_limit_and_waited_for_with_patience() -> None:
    desk = Desk("never said")
    without_money(desk, "ask")
    waits = [(await refused_attempt(desk))["retry_after_seconds"] for _ in range(3)]
    desk.task.attempt = 2000
    waits.append((await refused_attempt(desk))["retry_after_seconds"])
    assert waits == [2, 4, 8, 60]
    [question] = desk.platform.conversations.values()
    assert (question["task_id"], question["agent_id"]) == ("t", "ann")
    assert question["kind"] == "question"
    needed = question["data"]["needed_micros"]
    assert question["data"]["enough_micros"] == 9 + needed
    assert f"set_budget limit_micros={9 + needed} team_id=crew." in question["text"]
    assert "the budget team:crew has -2 left of 7" in question["text"]
    without_money(desk, "ask", limit=8)
    await refused_attempt(desk)
    assert len(desk.platform.conversations) == 2


async def test_a_question_that_cannot_be_put_fails_the_attempt() -> None:
    desk = Desk("never said")
    without_money(desk, "ask")
    refusing = desk.platform.before

    def silent(tool: str, number: int) -> PlatformError | None:
        if tool == "open_conversation":
            return Rejected("agent_retired", "ann is retired")
        return refusing(tool, number)

    desk.platform.before = silent
    assert (await refused_attempt(desk))["error_type"] == "agent_retired"


async def test_a_model_without_a_price_is_not_asked() -> None:
    desk = Desk("never said", prices=PriceList(version="1", models={}))
    assert "no price for usual" in await desk.ends_with("unknown_price")
    assert desk.model.asked == []
