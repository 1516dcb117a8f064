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
    """The first write is on its way, the others came meanwhile."""
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


@pytest.mark.parametrize("error", [CheckpointMoved("moved", "m"), WriteRefused("refused", "r")])
async def test_what_one_does_wrong_is_no_matter_of_the_others(error: Exception) -> None:
    server = Server()
    server.errors[2] = error
    tasks = await begun(server, Combined(server.run), *(write(number) for number in range(4)))
    server.open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found == [None, None, error, None]


async def test_when_the_server_is_away_all_are_told_at_once() -> None:
    server = Server()
    server.errors[1] = Unavailable("graph_away", "away")
    tasks = await begun(server, Combined(server.run), *(write(number) for number in range(4)))
    server.open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found == [None, *[server.errors[1]] * 3]
    assert server.runs == [[0], [1, 2, 3]]


async def test_a_write_that_is_cancelled_before_its_turn_is_not_begun() -> None:
    server = Server()
    combined = Combined(server.run)
    [first] = await begun(server, combined, write(0))
    waiting = asyncio.create_task(combined.write(write(1)))
    await asyncio.sleep(0)
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
