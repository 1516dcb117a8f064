"""Two owners of one partition, as after a pause that its group took for death."""

import asyncio
import random
from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY, random_id
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.core.errors import Rejected
from agent_orchestration.pipeline import projector
from agent_orchestration.pipeline.answers import Answers, ReadyHints
from agent_orchestration.pipeline.command_bus import CommandBus
from agent_orchestration.pipeline.partition import Partition
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.replies import Replies
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.integration.watched import Gate
from tests.integration.world import Clock, World, live, until
from tests.unit.domain import replay

HOME = partition_of("default", PARTITIONS)


def other_process(world: World, clock: Clock) -> Services:
    """What another process has, on the same log and graph."""
    answers, hints = Answers(), ReadyHints()
    blobs = FolderBlobs(world.folder / "blobs")
    bus = CommandBus(world.log, blobs, REGISTRY, answers, hints, new_id=random_id)
    progress = Progress()
    replies = Replies(world.log, None, delivered=bus.delivered, hints=hints, progress=progress)
    return Services(world.log, world.graph, REGISTRY, progress, bus, hints, replies, clock)


async def one_history(world: World) -> None:
    """However often an event is in the log: one per `seq`, and the graph is their fold."""
    await world.settled()
    first: dict[int, str] = {}
    history = [e for e in await world.events() if e.digest == first.setdefault(e.seq, e.digest)]
    assert len(history) == len(await world.events())
    once = list({e.seq: e for e in history}.values())
    assert [e.seq for e in once] == list(range(1, len(once) + 1))
    assert live(await world.in_graph()) == live(replay(once))


async def work(world: World, name: str) -> None:
    """A worker's day."""
    await world.agent(name)
    for number in range(15):
        needs = [f"{name}-{number - 1}"] if number else []
        made = {"depends_on": needs, "idempotency_key": f"{name}-{number}"}
        calls = [world.task(f"{name}-{number}", **made) for _ in range(2)]
        answers = await asyncio.gather(*calls, world.call("get_overview"))
        assert not any(answer.get("stale") for answer in answers)
        with pytest.raises(Rejected):
            await world.task(f"{name}-{number}")
        claim = await world.call("claim_task", agent_id=name, wait_seconds=5)
        held = {"task_id": claim["task"]["id"], "agent_id": name, "attempt": claim["attempt"]}
        await world.call("complete_task", **held)


@pytest.mark.parametrize("seed", range(3))
async def test_two_owners_write_one_history(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    clock = Clock()
    async with World(tmp_path, clock) as world:
        day = asyncio.gather(*(work(world, f"w{n}") for n in range(4)))
        zombies: list[Partition] = []
        while not day.done():
            zombies.append(Partition(other_process(world, clock), HOME, print))
            zombies[-1].start()
            appended = world.log.appends[EVENTS] + chance.randrange(10, 60)
            await until(lambda n=appended: day.done() or world.log.appends[EVENTS] >= n, "work")
            if len(zombies) > 2:
                await zombies.pop(0).stop()
        await day
        for zombie in zombies:
            assert zombie.failure is None
            await zombie.stop()
        assert (await world.platform.status())["ready"]
        await one_history(world)
        types = {e.seq: e.type for e in await world.events()}
        assert list(types.values()).count("TaskCompleted") == 60


@pytest.mark.parametrize("batch", [projector.BATCH, 2])
async def test_racing_projectors_fold_every_event_once(
    tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "BATCH", batch)
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.ready()
        zombie = Projector(other_process(world, clock), HOME)
        racing = asyncio.create_task(zombie.run())
        await asyncio.gather(*(work(world, f"w{n}") for n in range(4)))
        await until(lambda: zombie.position[1] == 4 + 4 * 15 * 3, "the zombie is up to date")
        racing.cancel()
        await asyncio.wait([racing])
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_a_caller_learns_of_what_another_projector_folded(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.task("a")
        held = world.graph.gate
        held.close()
        call = asyncio.create_task(world.call("cancel_task", task_id="a"))
        await until(lambda: held.waiting == 1, "the projector before its write")
        world.graph.gate = Gate()
        zombie = Projector(other_process(world, clock), HOME)
        await zombie.seek()
        assert await zombie.step() == 1
        held.open()
        answer = await call
        assert answer["task"]["status"] == "cancelled"
        assert "stale" not in answer
