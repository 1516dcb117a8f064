"""The worker on a small platform in memory, with its faults."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import (
    Busy,
    Corrupt,
    NotFound,
    PlatformError,
    Rejected,
    Unavailable,
)
from agent_orchestration.core.types import BLOB_KEY
from agent_orchestration.workers import held
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.worker import Change, Handler, Worker
from tests.unit.platform_double import DoubleTask, PlatformDouble

PATIENCE = 20.0


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait until the condition holds."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, f"waited in vain: {what}"
        await asyncio.sleep(0.001)


class Work:
    """A platform with tasks t1, t2, …, and a worker on it that remembers what it did."""

    def __init__(self, tasks: int, handler: Handler | None = None, **options: Any) -> None:
        self.platform = PlatformDouble()
        self.platform.agents["agent"] = set()
        for number in range(1, tasks + 1):
            self.add(f"t{number}")
        self.changes: list[tuple[str, Change]] = []
        self.begun: dict[str, HeldTask] = {}
        self.go_on = asyncio.Event()
        settings: dict[str, Any] = {"lease_seconds": 0.03, **options}
        self.worker = Worker(
            self.platform,
            "agent",
            handler or self.wait,
            watch=lambda task, change: self.changes.append((task.id, change)),
            **settings,
        )

    def add(self, task_id: str, payload: Any = None, **more: Any) -> DoubleTask:
        task = DoubleTask(
            id=task_id,
            title=task_id,
            requires=set(),
            depends_on=[],
            labels=[],
            payload=payload,
            **more,
        )
        self.platform.tasks[task_id] = task
        return task

    def task(self, task_id: str = "t1") -> DoubleTask:
        return self.platform.tasks[task_id]

    async def wait(self, task: HeldTask) -> str:
        """The usual handler: waits until told to go on."""
        self.begun[task.id] = task
        await self.go_on.wait()
        return f"did {task.id}"

    async def drained(self) -> None:
        """Let the worker do what is there, and wait for its end."""
        running = asyncio.create_task(self.worker.run())
        await until(lambda: bool(self.platform.completed or self.changes[1:]), "something done")
        self.worker.drain()
        await running

    async def begins(self, tasks: int = 1) -> asyncio.Task[None]:
        """The running worker, with so many handlers at work."""
        running = asyncio.create_task(self.worker.run())
        await until(lambda: len(self.begun) == tasks, "handlers begin")
        return running


async def done(task: HeldTask) -> Any:
    return task.payload


async def test_tasks_are_claimed_carried_out_and_reported() -> None:
    work = Work(3, done)
    running = asyncio.create_task(work.worker.run())
    await until(lambda: len(work.platform.completed) == 3)
    work.worker.drain()
    await running
    assert work.changes == [(f"t{n}", c) for n in (1, 2, 3) for c in ("claimed", "completed")]


async def test_no_more_tasks_are_held_than_asked_for() -> None:
    work = Work(5, concurrency=2)
    running = await work.begins(2)
    assert len(work.worker.held) == 2
    work.go_on.set()
    await until(lambda: len(work.platform.completed) == 5)
    work.worker.stop()
    await running


async def test_a_handler_sees_the_payload_and_the_progress_of_the_attempt_before() -> None:
    seen: list[Any] = []

    async def look(task: HeldTask) -> None:
        seen.append((task.id, task.attempt, task.payload, task.previous_progress))

    work = Work(0, look)
    work.add("t", {"order": 7}, progress={"at": 3}, attempt=4)
    await work.drained()
    assert seen == [("t", 5, {"order": 7}, {"at": 3})]


async def test_what_was_too_large_for_the_claim_is_fetched() -> None:
    work = Work(0, done)
    work.platform.blobs["abc"] = json.dumps(["large"]).encode()
    work.add("t", {BLOB_KEY: "abc", "bytes": 9})
    await work.drained()
    assert work.task("t").result == ["large"]


async def test_a_handler_can_read_the_results_of_the_dependencies() -> None:
    async def results(task: HeldTask) -> list[Any]:
        return [await task.dependency_result(one) for one in task.dependencies]

    work = Work(0, results)
    work.add("a", status="completed", result={"rows": 3})
    work.add("b", status="completed", result={BLOB_KEY: "abc", "bytes": 2})
    work.platform.blobs["abc"] = b"42"
    work.add("t").depends_on = ["a", "b"]
    await work.drained()
    assert work.task("t").result == [{"rows": 3}, 42]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            TaskError("no", error_type="strange", retryable=False),
            {"error": "no", "error_type": "strange", "retryable": False},
        ),
        (
            TaskError("later", retry_after_seconds=9),
            {"error": "later", "error_type": "error", "retry_after_seconds": 9},
        ),
        (ValueError("bad \x00 \ud800 row"), {"error": "ValueError: bad  ? row"}),
        (ValueError(), {"error": "ValueError", "error_type": "ValueError", "retryable": True}),
        (Corrupt("corrupt", "torn"), {"error_type": "corrupt", "retryable": False}),
        (asyncio.CancelledError(), {"error_type": "cancelled", "retryable": True}),
    ],
)
async def test_what_a_handler_raises_fails_the_attempt(
    error: BaseException, expected: dict[str, Any]
) -> None:
    async def fail(task: HeldTask) -> None:
        raise error

    work = Work(1, fail)
    await work.drained()
    told = work.task().error
    assert told is not None
    assert expected.items() <= told.items()
    assert ("t1", "failed") in work.changes


async def test_a_result_that_is_refused_fails_the_task_for_good() -> None:
    work = Work(1, done)
    work.platform.before = lambda tool, _number: (
        Rejected("too_large", "11 MB") if tool == "complete_task" else None
    )
    await work.drained()
    assert work.task().status == "failed"
    assert work.changes[-1] == ("t1", "failed")


async def test_progress_is_batched_and_the_last_value_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held, "PROGRESS_SECONDS", 0.0)
    work = Work(1)
    running = await work.begins()
    told = {"line": 0}
    for number in range(100):
        told["line"] = number
        await work.begun["t1"].progress(told)
    await until(lambda: work.task().progress == {"line": 99}, "progress")
    assert work.platform.calls["report_progress"] == 1
    work.go_on.set()
    work.worker.drain()
    await running


async def test_a_failure_is_preceded_by_the_last_progress_and_a_result_is_not() -> None:
    async def fail_first(task: HeldTask) -> str:
        await task.progress(task.attempt)
        if task.id == "t1":
            raise TaskError("no", retryable=False)
        return "done"

    work = Work(2, fail_first)
    running = asyncio.create_task(work.worker.run())
    await until(lambda: work.task("t2").status == "completed")
    work.worker.drain()
    await running
    assert (work.task("t1").progress, work.task("t2").progress) == (1, None)


@pytest.mark.parametrize("value", [None, float("nan"), "x" * 1_000_001])
async def test_progress_that_cannot_be_stored_is_refused(value: Any) -> None:
    async def report(task: HeldTask) -> None:
        await task.progress(value)

    work = Work(1, report)
    await work.drained()
    told = work.task().error
    assert told is not None
    assert told["error_type"] == "invalid_argument"


@pytest.mark.parametrize(
    ("status", "holder", "verdict"),
    [("cancelled", "agent", "cancel"), ("running", "other", "fenced")],
)
async def test_a_verdict_cancels_the_handler_and_nothing_more_is_said(
    status: str, holder: str, verdict: Change
) -> None:
    work = Work(1)
    running = await work.begins()
    work.task().status, work.task().holder = status, holder
    await until(lambda: not work.worker.held, "the task is let go")
    assert work.begun["t1"].cancelled.is_set()
    assert work.begun["t1"].verdict == verdict
    assert work.changes[-1] == ("t1", verdict)
    assert not {"complete_task", "fail_task"} & set(work.platform.calls)
    work.worker.drain()
    await running


@pytest.mark.parametrize(("status", "verdict"), [("cancelled", "cancel"), ("ready", "fenced")])
async def test_a_report_that_comes_too_late_is_a_verdict_too(status: str, verdict: Change) -> None:
    work = Work(1, lease_seconds=60)
    running = await work.begins()
    work.platform.agents["agent"] = set()
    work.task().status = status
    work.task().requires = {"something else"}
    work.go_on.set()
    await until(lambda: work.changes[-1] == ("t1", verdict))
    assert work.task().error is None
    work.worker.drain()
    await running


async def test_a_heartbeat_that_overtakes_the_answer_takes_no_completion_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work(1, done)
    call = work.platform.call

    async def slow(tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        answer = await call(tool, arguments, caller)
        if tool == "complete_task":
            over = work.worker.held["t1", 1].cancelled
            await until(over.is_set, "a heartbeat is told that the attempt is over")
        return answer

    monkeypatch.setattr(work.platform, "call", slow)
    await work.drained()
    assert work.changes == [("t1", "claimed"), ("t1", "completed")]


async def test_one_heartbeat_is_for_all_tasks_and_comes_three_times_a_lease() -> None:
    work = Work(3, concurrency=3, lease_seconds=0.3)
    beats: list[float] = []
    work.platform.on_heartbeat = lambda task: beats.append(time.monotonic())
    running = await work.begins(3)
    await until(lambda: len(beats) >= 12)
    work.go_on.set()
    work.worker.drain()
    await running
    assert work.platform.calls["heartbeat"] <= len(beats) / 3 + 2
    gaps = [later - earlier for earlier, later in zip(beats, beats[3:], strict=False)]
    assert max(gaps) < 0.3


async def test_an_agent_that_promised_heartbeats_sends_them_without_work() -> None:
    work = Work(0, heartbeat_seconds=0.01)
    running = asyncio.create_task(work.worker.run())
    await until(lambda: work.platform.calls["heartbeat"] > 3)
    work.worker.stop()
    await running


async def test_drained_it_finishes_what_it_holds_and_claims_no_more() -> None:
    work = Work(3)
    running = await work.begins()
    work.worker.drain()
    work.go_on.set()
    await running
    assert work.platform.completed == ["t1"]


async def test_a_drain_ends_in_time_by_giving_back() -> None:
    work = Work(1)
    running = await work.begins()
    work.worker.drain(within=0.01)
    await running
    assert work.changes[-1] == ("t1", "stopped")


async def test_stopped_it_gives_back_what_it_holds_for_others_at_once() -> None:
    work = Work(2, concurrency=2)
    running = await work.begins(2)
    work.worker.stop()
    await running
    for name in ("t1", "t2"):
        told = work.task(name).error
        assert told is not None
        assert (told["error_type"], told["retryable"]) == ("worker_stopped", True)
        assert told["retry_after_seconds"] == 0
        assert work.task(name).status == "ready"
        assert work.begun[name].verdict == "stopped"


async def test_stopped_while_it_waits_for_work_it_ends() -> None:
    work = Work(0)
    running = asyncio.create_task(work.worker.run())
    await until(lambda: work.platform.calls["claim_task"] == 1)
    work.worker.stop()
    await running
    await work.worker.run()  # and stays stopped


async def test_cancelled_it_gives_back_and_is_cancelled() -> None:
    work = Work(1)
    running = await work.begins()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.task().status == "ready"
    assert work.changes[-1] == ("t1", "stopped")


async def test_a_handler_may_clean_up_before_the_task_goes_back() -> None:
    order: list[str] = []

    async def careful(task: HeldTask) -> None:
        try:
            order.append("begun")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("cleaned up")

    work = Work(1, careful)
    work.platform.before = lambda tool, _number: order.append(tool) if tool == "fail_task" else None
    running = asyncio.create_task(work.worker.run())
    await until(lambda: bool(order))
    work.worker.stop()
    await running
    assert order == ["begun", "cleaned up", "fail_task"]


async def test_a_paused_worker_finishes_what_it_holds_and_claims_again_when_resumed() -> None:
    work = Work(2)
    running = await work.begins()
    work.worker.pause()
    work.go_on.set()
    await until(lambda: ("t1", "completed") in work.changes)
    asked = work.platform.calls["claim_task"]
    await asyncio.sleep(0.05)  # nothing tells of what does not happen
    assert work.platform.calls["claim_task"] == asked
    assert work.task("t2").status == "ready"
    work.worker.resume()
    await until(lambda: ("t2", "completed") in work.changes)
    work.worker.drain()
    await running


async def test_a_paused_worker_can_be_drained() -> None:
    work = Work(1)
    work.worker.pause()
    running = asyncio.create_task(work.worker.run())
    work.worker.drain()
    await running
    assert work.changes == []


@pytest.mark.parametrize("error", [Unavailable("lost", "lost"), Busy("b", "b", retry_after=0.01)])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_every_report_is_repeated_and_counts_once(error: PlatformError, moment: str) -> None:
    async def fail_once(task: HeldTask) -> str:
        if task.id == "t1":
            await task.progress("begun")
            raise TaskError("no", retryable=False)
        return "done"

    work = Work(2, fail_once)
    asked: list[str] = []

    def fault(tool: str, number: int) -> PlatformError | None:
        asked.append(tool)
        return error if number == 1 and tool != "heartbeat" else None

    setattr(work.platform, moment, fault)
    running = asyncio.create_task(work.worker.run())
    await until(lambda: work.platform.completed == ["t2"])
    work.worker.drain()
    await running
    assert {"claim_task", "report_progress", "fail_task", "complete_task"} <= set(asked)
    assert work.worker.calls.repeated == 4
    assert {task.attempt for task in work.platform.tasks.values()} == {1}


async def test_an_outage_that_outlasts_patience_ends_the_worker() -> None:
    work = Work(1, done, patience=0.0)
    work.platform.before = lambda tool, _number: (
        Unavailable("gone", "no log") if tool == "complete_task" else None
    )
    with pytest.raises(Unavailable, match="no log"):
        await work.worker.run()


async def test_a_refused_agent_finishes_what_it_holds_and_says_why() -> None:
    work = Work(1, concurrency=2)
    work.platform.before = lambda tool, number: (
        Rejected("agent_draining", "drained by an operator")
        if tool == "claim_task" and number == 2
        else None
    )
    running = await work.begins()
    await until(lambda: work.worker.draining)
    work.go_on.set()
    with pytest.raises(Rejected, match="drained by an operator"):
        await running
    assert work.platform.completed == ["t1"]


async def test_a_retired_agent_lets_go_at_the_next_heartbeat() -> None:
    work = Work(1)
    running = await work.begins()
    work.platform.retired.add("agent")
    with pytest.raises(Rejected, match="is retired"):
        await running
    assert work.changes[-1] == ("t1", "fenced")


async def test_a_claim_whose_task_cannot_be_shown_yet_is_repeated() -> None:
    work = Work(1, done)
    work.platform.after = lambda tool, number: (
        NotFound("unknown_task", "the graph is behind")
        if tool == "claim_task" and number == 1
        else None
    )
    await work.drained()
    assert work.platform.completed == ["t1"]
    assert work.task().attempt == 1


async def test_a_task_granted_at_the_moment_of_draining_is_carried_out() -> None:
    work = Work(1, done)
    granted = asyncio.Event()

    def lose_answer(tool: str, number: int) -> PlatformError | None:
        if tool == "claim_task" and number == 1:
            granted.set()
            work.worker.drain()
            return Unavailable("lost", "lost")
        return None

    work.platform.after = lose_answer
    await work.worker.run()
    assert granted.is_set()
    assert work.platform.completed == ["t1"]


async def test_a_stop_does_not_wait_for_a_platform_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent_orchestration.workers.worker.GIVE_BACK_SECONDS", 0.05)
    work = Work(1, lease_seconds=60, concurrency=2)
    running = await work.begins()
    work.platform.before = lambda _tool, _number: Unavailable("gone", "no log")
    work.worker.drain(within=0.05)
    await running
    assert work.changes[-1] == ("t1", "stopped")
    assert work.task().error is None
