"""Writes that come together are run together, and each caller has its own outcome."""

import asyncio
from collections.abc import Sequence

import pytest

from agent_orchestration.backends.graph import CheckpointMoved, GraphWrite, WriteRefused
from agent_orchestration.backends.graph.neo4j.combining import Combined
from agent_orchestration.core.errors import Unavailable


class Server:
    """Takes writes while it is open, and notes which came together."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.runs: list[list[int]] = []
        self.errors: dict[int, Exception] = {}

    async def run(self, writes: Sequence[GraphWrite]) -> None:
        self.runs.append([write.partition for write in writes])
        self.began.set()
        await self.open.wait()
        for write in writes:
            if write.partition in self.errors:
                raise self.errors[write.partition]


def write(partition: int, offset: int = 1) -> GraphWrite:
    return GraphWrite(partition, (1, offset - 1), (1, offset))


async def begun(
    server: Server, combined: Combined, first: GraphWrite, *others: GraphWrite
) -> list[asyncio.Task[None]]:
    """All partitions wrote before; the first write is on its way, the others came meanwhile."""
    for partition in {one.partition for one in (first, *others)}:
        await combined.write(write(partition))
    server.runs.clear()
    server.began.clear()
    server.open.clear()
    tasks = [asyncio.create_task(combined.write(first))]
    await server.began.wait()
    tasks += [asyncio.create_task(combined.write(one)) for one in others]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_goes_together() -> None:
    server = Server()
    tasks = await begun(server, Combined(server.run), *(write(number) for number in range(4)))
    server.open.set()
    await asyncio.gather(*tasks)
    assert server.runs == [[0], [1, 2, 3]]


async def test_writes_of_one_partition_follow_each_other() -> None:
    server = Server()
    combined = Combined(server.run)
    tasks = await begun(server, combined, write(0), write(1), write(1, 2), write(2))
    server.open.set()
    await asyncio.gather(*tasks)
    assert server.runs == [[0], [1, 2], [1]]


@pytest.mark.parametrize(
    "error", [CheckpointMoved("moved", "m"), WriteRefused("refused", "r"), Unavailable("away", "a")]
)
async def test_what_goes_wrong_with_one_is_no_matter_of_the_others(error: Exception) -> None:
    server = Server()
    combined = Combined(server.run)
    tasks = await begun(server, combined, *(write(number) for number in range(4)))
    server.errors[2] = error
    server.open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found == [None, None, error, None]
    assert server.runs == [[0], [1, 2, 3], [1], [2], [3]]

    # Until it succeeds again, it goes by itself: nobody waits for what it waits for.
    server.errors.clear()
    server.open.clear()
    server.began.clear()
    stuck = asyncio.create_task(combined.write(write(2)))
    await server.began.wait()
    assert server.runs[-1] == [2]
    others = [asyncio.create_task(combined.write(write(number))) for number in (0, 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.runs[-1] in ([0], [0, 1])
    server.open.set()
    await asyncio.gather(stuck, *others)


async def test_a_write_that_is_cancelled_before_its_turn_is_not_begun() -> None:
    server = Server()
    combined = Combined(server.run)
    first, waiting = await begun(server, combined, write(0), write(1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    server.open.set()
    await first
    assert server.runs == [[0]]


async def test_a_write_that_is_cancelled_under_way_is_waited_for() -> None:
    server = Server()
    [task] = await begun(server, Combined(server.run), write(0))
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    server.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
