"""Under too much work, new work is refused before it is written; running work may always end."""

import asyncio
from pathlib import Path

import pytest

from agent_orchestration.core.errors import Busy
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS
from tests.integration.watched import Gate
from tests.integration.world import World, until, until_async

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
