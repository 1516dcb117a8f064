"""Calls of a language model are paid: reserved before, settled after, not made without money."""

import asyncio

import pytest

from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable
from agent_orchestration.workers.prices import PriceList
from agent_orchestration.workers.worker import Worker
from tests.unit.test_llm_agent import Desk, call
from tests.unit.test_worker import until


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


@pytest.mark.parametrize(
    ("on_exceeded", "status", "after"), [("stop", "failed", None), ("ask", "ready", 300)]
)
async def test_what_a_budget_does_not_allow_is_not_asked(
    on_exceeded: str, status: str, after: float | None
) -> None:
    desk = Desk("never said")

    def exceeded(tool: str, _number: int) -> PlatformError | None:
        if tool != "reserve_spend":
            return None
        return Rejected("budget_exceeded", "nothing is left", on_exceeded=on_exceeded)

    desk.platform.before = exceeded
    worker = Worker(desk.platform, "ann", desk.agent)
    running = asyncio.create_task(worker.run())
    await until(lambda: desk.task.error is not None)
    worker.drain()
    await running
    assert desk.task.error is not None
    assert desk.task.error["error_type"] == "budget_exceeded"
    assert desk.task.error["retry_after_seconds"] == after
    assert desk.task.status == status
    assert desk.model.asked == []


async def test_a_model_without_a_price_is_not_asked() -> None:
    desk = Desk("never said", prices=PriceList(version="1", models={}))
    assert "no price for usual" in await desk.ends_with("unknown_price")
    assert desk.model.asked == []
