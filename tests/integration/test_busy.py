"""Under too much work, new work is refused before it is written; running work may always end."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent_orchestration.core.errors import Busy
from agent_orchestration.core.messages import Work
from agent_orchestration.pipeline.admission import FEWEST, LONG_SECONDS, START, Admission
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS
from tests.integration.watched import Gate
from tests.integration.world import World, others_go_on, until, until_async

BUS = "agent_orchestration.pipeline.command_bus"


async def test_new_work_is_refused_and_running_work_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", max_concurrency=3)
        for name in "abc":
            await world.task(name)
            await world.call("claim_task", agent_id="ann")
        monkeypatch.setattr(f"{BUS}.WAITING_LIMIT", 5)
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        waiting = [asyncio.create_task(world.task(f"t{n}")) for n in range(5)]
        await appended(world, 7 + 5)
        before = len(await world.records(COMMANDS))
        with pytest.raises(Busy) as refused:
            await world.task("more")
        assert refused.value.details["retry_after"] >= 1
        with pytest.raises(Busy):
            await world.call("claim_task", agent_id="ann")
        assert len(await world.records(COMMANDS)) == before
        held = {"agent_id": "ann", "attempt": 1}
        urgent = [
            world.call("complete_task", task_id="a", **held),
            world.call("fail_task", task_id="b", **held, error="x", retryable=False),
            world.call("heartbeat", agent_id="ann", leases=[{"task_id": "c", "attempt": 1}]),
        ]
        running = [asyncio.create_task(call) for call in urgent]
        await appended(world, before + 3)
        gate.open()
        completed, failed, beat = await asyncio.gather(*running)
        assert completed["task"]["status"] == "completed"
        assert failed["task"]["status"] == "failed"
        assert beat["leases"][0]["verdict"] == "continue"
        await asyncio.gather(*waiting)
        # The backlog is gone, and with it the refusals.
        await world.task("later")
        await world.is_fold_of_log()


async def appended(world: World, count: int) -> None:
    async def enough() -> bool:
        return len(await world.records(COMMANDS)) >= count

    await until_async(enough, f"{count} commands")


async def test_a_processor_that_lags_behind_gets_no_new_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{BUS}.LAG_LIMIT", 5)
    monkeypatch.setattr("agent_orchestration.pipeline.command_processor.BATCH", 1)
    async with World(tmp_path) as world:
        await world.ready()
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        waiting = [asyncio.create_task(world.task(f"t{n}")) for n in range(7)]
        await appended(world, 7)
        await until(lambda: gate.waiting == 1, "the first command before its append")
        gate.open()
        gate.close()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(Busy):
            await world.task("more")
        gate.open()
        await asyncio.gather(*waiting)
        await world.task("more")
        assert (await world.types()) == ["TaskCreated"] * 8


class Waits:
    """Commands under way in one partition, at times that the test gives."""

    def __init__(self) -> None:
        self.now = 0.0
        self.admission = Admission(lambda: self.now)

    def admitted(self, most: int, work: Work = "begins") -> list[ExitStack]:
        """As many as are admitted now, at most so many; each is under way until it is closed."""
        begun: list[ExitStack] = []
        while len(begun) < most and not self.admission.full(work):
            begun.append(ExitStack())
            begun[-1].enter_context(self.admission.under_way())
        return begun

    def ended(self, begun: Sequence[ExitStack], seconds: float) -> None:
        """They end so much later, one after the other."""
        for one in begun:
            self.now += seconds / len(begun)
            one.close()

    def limit(self) -> int:
        """How many more are admitted. They end in a time that is neither long nor short."""
        begun = self.admitted(10 * START)
        self.now += LONG_SECONDS * 3 / 4
        self.ended(begun, 0)
        return len(begun)


def test_short_waits_limit_nothing_that_is_usual() -> None:
    waits = Waits()
    assert waits.limit() == START
    begun = waits.admitted(START)
    assert waits.admission.full("begins")
    waits.ended(begun, LONG_SECONDS / 4)
    assert waits.limit() > START


@pytest.mark.parametrize("rate", [50, 100, 500])
def test_the_wait_is_bounded_whatever_the_rate_is(rate: int) -> None:
    """Twice as much comes as is done: what is admitted waits about as long at any rate, and who
    works never runs out of it."""
    waits = Waits()
    queue: list[tuple[float, ExitStack]] = []
    longest = [0.0]
    idle = 0
    for tick in range(60 * rate):
        waits.now = tick / rate
        queue += [(waits.now, one) for _ in range(2) for one in waits.admitted(1)]
        if queue:
            began, one = queue.pop(0)
            one.close()
            longest.append(max(longest[-1], waits.now - began))
        else:
            idle += 1
    assert longest[-1] <= 2 * LONG_SECONDS + 3 / rate
    assert longest[-1] > LONG_SECONDS
    assert idle == 0


def test_the_limit_grows_again_and_starts_anew_once_all_is_done() -> None:
    waits = Waits()
    slow = waits.admitted(100)
    waits.ended(slow, 3 * LONG_SECONDS)
    with waits.admission.under_way():
        low = waits.limit()
        assert low < 100
        for _ in range(20):
            waits.ended(waits.admitted(low), LONG_SECONDS / 4)
        assert low < waits.limit() < START
    assert waits.limit() == START


def test_who_was_let_in_can_go_on_also_when_the_limit_was_just_lowered() -> None:
    waits = Waits()
    begun = waits.admitted(START)
    waits.ended(begun[:1], 2 * LONG_SECONDS)
    assert waits.admission.full("begins")
    going_on = waits.admitted(START, "goes on")
    assert len(going_on) >= START // 2
    assert waits.admission.full("goes on")  # it is limited, too


def test_what_is_few_or_fails_says_nothing_of_the_load() -> None:
    waits = Waits()
    with waits.admission.under_way():
        waits.ended(waits.admitted(FEWEST - 1), 10 * LONG_SECONDS)
        begun = waits.admitted(200)
        waits.now += 10 * LONG_SECONDS
        for one in begun:
            with pytest.raises(Busy), one:
                raise Busy("busy", "not this one")
        assert waits.limit() == START - 1


async def test_what_waits_for_the_graph_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.admission.START", 5)
    async with World(tmp_path) as world:
        await world.agent("ann", max_concurrency=3)
        await world.task("a")
        await world.call("claim_task", agent_id="ann")
        before = len(await world.records(EVENTS))
        world.graph.gate.close()
        waiting = [asyncio.create_task(world.task(f"t{n}")) for n in range(5)]

        async def decided() -> bool:
            return len(await world.records(EVENTS)) == before + 5

        await until_async(decided, "five decided")
        await others_go_on()
        with pytest.raises(Busy) as refused:
            await world.task("more")
        assert refused.value.details["retry_after"] >= 1
        status = await world.platform.status()
        assert status["ready"]
        assert "refused" in status["checks"]["load"]["detail"]
        held = {"task_id": "a", "agent_id": "ann", "attempt": 1}
        completing = asyncio.create_task(world.call("complete_task", **held))
        await others_go_on()
        world.graph.gate.open()
        assert (await completing)["task"]["status"] == "completed"
        await asyncio.gather(*waiting)
        await world.task("more")
