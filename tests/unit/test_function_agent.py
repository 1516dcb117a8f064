"""Functions as agents: what goes in, what comes out, and what happens where neither fits."""

import asyncio
import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import pydantic
import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers import FunctionAgent, HeldTask, Host, TaskError, ThreadTask, agent
from tests.unit.platform_double import DoubleTask, PlatformDouble
from tests.unit.test_worker import until


class Order(pydantic.BaseModel):
    item: str
    count: int = pydantic.Field(gt=0)


@agent(capabilities=["orders"])
async def total(item: str, count: int = 2, due: date | None = None) -> dict[str, Any]:
    """What an order comes to."""
    return {"item": item, "count": count, "due": due}


@agent(capabilities={"orders": 0.5})
async def whole(payload: Order) -> Order:
    return payload


class Hosted:
    """A platform with tasks that agents of a host carry out."""

    def __init__(self, *agents: FunctionAgent[..., Any]) -> None:
        self.platform = PlatformDouble()
        self.host = Host(self.platform, agents)
        self.capability = next(iter(agents[0].capabilities), None)

    async def done(self, payload: Any) -> DoubleTask:
        """The task with this payload after somebody has had it."""
        task = DoubleTask(
            id="t",
            title="t",
            requires={self.capability} if self.capability else set(),
            depends_on=[],
            labels=[],
            payload=payload,
        )
        self.platform.tasks["t"] = task
        running = asyncio.create_task(self.host.run())
        await until(lambda: task.status in ("completed", "failed", "blocked") or running.done())
        self.host.drain()
        await running
        return task


async def test_members_of_the_payload_are_given_by_name() -> None:
    task = await Hosted(total).done({"item": "pen", "due": "2026-01-02"})
    assert task.result == {"item": "pen", "count": 2, "due": "2026-01-02"}


async def test_a_parameter_called_payload_is_all_of_it() -> None:
    task = await Hosted(whole).done({"item": "pen", "count": "3"})
    assert task.result == {"item": "pen", "count": 3}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"count": 1}, "item: Field required"),
        ({"item": "pen", "counted": 1}, "counted: Extra inputs are not permitted"),
        ({"item": "pen", "count": "many"}, "count: Input should be a valid integer"),
        (["pen"], "it: Input should be a valid dictionary"),
        (None, "item: Field required"),
    ],
)
async def test_a_payload_that_does_not_fit_fails_the_task_for_good(payload: Any, said: str) -> None:
    task = await Hosted(total).done(payload)
    assert task.status == "failed"
    assert task.error is not None
    assert task.error["error_type"] == "invalid_input"
    assert said in task.error["error"]


async def test_a_result_that_is_not_what_was_promised_fails_the_task_for_good() -> None:
    @agent()
    async def wrong() -> Order:
        return {"item": "pen", "count": 0}  # type: ignore[return-value]

    task = await Hosted(wrong).done(None)
    assert task.error is not None
    assert (task.error["error_type"], task.error["retryable"]) == ("invalid_output", False)
    assert "count: Input should be greater than 0" in task.error["error"]


async def test_a_result_that_is_no_json_fails_the_task_for_good() -> None:
    @agent()
    async def strange() -> Any:
        return object()

    task = await Hosted(strange).done(None)
    assert task.error is not None
    assert task.error["error_type"] == "invalid_output"


async def test_what_a_function_raises_fails_the_attempt() -> None:
    @agent()
    def broken() -> None:
        raise TaskError("not today", error_type="closed")

    task = await Hosted(broken).done(None)
    assert task.error is not None
    assert (task.status, task.error["error_type"]) == ("blocked", "closed")


async def test_a_function_without_async_runs_in_a_thread_and_can_report() -> None:
    threads: list[int] = []

    @agent()
    def slow(amount: int, task: ThreadTask) -> int:
        threads.append(threading.get_ident())
        task.progress({"seen": amount, "attempt": task.attempt, "cancelled": task.cancelled})
        return amount + 1

    task = await Hosted(slow).done({"amount": 1})
    assert task.result == 2
    assert threads != [threading.get_ident()]


async def test_the_task_itself_is_given_to_who_asks() -> None:
    @agent()
    async def curious(held: HeldTask, payload: Any = "nothing") -> Any:
        return [held.id, held.attempt, payload]

    assert (await Hosted(curious).done(7)).result == ["t", 1, 7]


async def test_parameters_may_be_called_what_fields_of_models_may_not() -> None:
    @agent()
    async def odd(copy: int, json: str, model_dump: bool = False) -> Any:
        return [copy, json, model_dump]

    assert (await Hosted(odd).done({"copy": 1, "json": "x"})).result == [1, "x", False]


async def test_an_agent_is_still_its_function() -> None:
    assert await total("pen", 1) == {"item": "pen", "count": 1, "due": None}
    assert total.__doc__ == "What an order comes to."


async def test_what_cannot_be_called_by_name_is_refused_at_once() -> None:
    async def positional(*items: int) -> None: ...

    async def two(payload: int, other: int) -> None: ...

    async def thread(task: ThreadTask) -> None: ...

    refused: list[tuple[Callable[..., Any], str]] = [
        (positional, "name each parameter"),
        (two, "leave out other"),
        (thread, "has to be a HeldTask"),
    ]
    for function, said in refused:
        with pytest.raises(TypeError, match=said):
            agent()(function)


async def test_a_host_that_begins_again_brings_what_is_known_up_to_date() -> None:
    hosted = Hosted(total)
    await hosted.host.make_known()
    assert hosted.platform.agents == {"total": {"orders"}}
    await Host(hosted.platform, [agent(id="total", capabilities=["more"])(lambda: 1)]).make_known()
    assert hosted.platform.agents == {"total": {"more"}}


async def test_an_agent_that_was_retired_ends_its_host() -> None:
    hosted = Hosted(total, whole)
    hosted.platform.retired.add("total")
    with pytest.raises(Rejected, match="retired"):
        await hosted.host.run()
