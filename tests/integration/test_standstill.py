"""Who sees log and graph only tells whether somebody works on the partitions."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.standstill import STILL_SECONDS, Standstill
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, PARTITIONS
from tests.integration.watched import Gate
from tests.integration.world import World, until, until_async

NUMBER = partition_of("default", PARTITIONS)


@pytest.mark.parametrize("stopped", [EVENTS, COMMANDS])
async def test_work_that_lies_still_for_long_is_told(tmp_path: Path, stopped: str) -> None:
    now = [0.0]
    async with World(tmp_path) as world:
        found = Standstill(world.log, world.graph, lambda: now[0])
        await world.task("a")
        await world.settled()
        await found.check(NUMBER)
        now[0] += 2 * STILL_SECONDS
        await found.check(NUMBER)  # there is nothing to do

        # Either no event comes into the graph, or none into the log.
        gate = world.graph.gate if stopped == EVENTS else world.log.gates.setdefault(EVENTS, Gate())
        gate.close()
        asked = asyncio.create_task(world.task("b"))
        await until(lambda: gate.waiting > 0, "the work to stand still")
        await found.check(NUMBER)
        now[0] += STILL_SECONDS
        with pytest.raises(Unavailable, match=rf"{stopped}/{NUMBER} stands still at 1 of 2 for 10"):
            await found.check(NUMBER)
        gate.open()
        await asked

        async def moves() -> bool:
            with contextlib.suppress(Unavailable):
                await found.check(NUMBER)
                return True
            return False

        await until_async(moves, "the committed position to follow")
