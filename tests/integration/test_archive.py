"""Events leave the log for the archive, and nobody who reads the log notices."""

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log import DAY_MS, LogLost
from agent_orchestration.backends.log.archive import Archive
from agent_orchestration.backends.log.archived import ArchivedLog
from agent_orchestration.backends.store import Store
from agent_orchestration.config import Archive as ArchiveSettings
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.operations import Archive as ArchiveNow
from agent_orchestration.core.operations import Rebuild, Verify
from agent_orchestration.pipeline import archiving
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.integration.test_graph_file import graph_files
from tests.integration.test_rebuild import busy_history
from tests.integration.world import Clock, World, until_async

HOME = partition_of("default", PARTITIONS)


class ArchivingWorld(World):
    """Its events go to `archive/` in its folder."""

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        super().__init__(folder, clock, archive=ArchiveSettings(url=str(folder / "archive")))
        self.archive = Archive(Store(str(folder / "archive")))


async def operated(world: World, operation: Any) -> dict[str, Any]:
    steps = [step async for step in world.platform.operate(operation)]
    return steps[-1]


async def test_what_is_archived_and_old_leaves_the_log_and_is_read_all_the_same(
    tmp_path: Path,
) -> None:
    clock = Clock()
    async with ArchivingWorld(tmp_path, clock) as world:
        for tenant in ("default", "acme"):
            await busy_history(world, tenant)
        await world.task("large", payload="x" * 100_000)
        await world.settled_everywhere()
        whole = await world.records(EVENTS)
        written = await operated(world, ArchiveNow())
        assert (written["written"], written["deleted"]) == (len(whole), 0)
        assert (await operated(world, ArchiveNow()))["written"] == 0
        clock.pass_seconds(6.9 * 86_400)
        assert (await operated(world, ArchiveNow()))["deleted"] == 0
        await world.task("young")
        clock.pass_seconds(0.2 * 86_400)
        await world.settled_everywhere()
        found = await operated(world, ArchiveNow())
        # In each partition the last one stays.
        ends = [await world.log.bounds(EVENTS, number) for number in range(PARTITIONS)]
        assert found["deleted"] == len(whole) - sum(end > 0 for _, end in ends) + 1
        assert all(first == max(end - 1, 0) for first, end in ends)
        assert (await operated(world, Verify()))["events"] == len(whole) + 1
        assert (await operated(world, Rebuild()))["equal"]
        question = "MATCH (t:Task {tenant: 'default'}) RETURN count(t) AS n"
        past = await world.call("read_cypher", query=question, at=5)
        assert 0 < past["rows"][0]["n"] < 10
    for file in graph_files(tmp_path):
        file.unlink()
    async with ArchivingWorld(tmp_path, clock) as world:
        await world.settled_everywhere()
        assert (await operated(world, Rebuild(repair=False)))["equal"]
        await world.task("later")
        await world.settled_everywhere()
        assert (await operated(world, Verify()))["ok"]


async def test_partitions_archive_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(archiving, "ENOUGH_RECORDS", 20)
    clock = Clock()
    async with ArchivingWorld(tmp_path, clock) as world:
        await busy_history(world, "default")
        _, end = await world.log.bounds(EVENTS, HOME)

        async def archived(least: int) -> bool:
            return (await Archive(world.archive.store).bounds(world.log.epoch, HOME))[1] >= least

        await until_async(lambda: archived(end - 19), "what is enough is archived")
        clock.pass_seconds(archiving.LONGEST_MS / 1000)
        await until_async(lambda: archived(end), "and what is little, in a while")
        clock.pass_seconds(8 * DAY_MS / 1000)

        async def deleted() -> bool:
            return await world.log.bounds(EVENTS, HOME) == (end - 1, end)

        await until_async(deleted, "deleted")
        await world.task("later")
        assert (await operated(world, Verify()))["ok"]


async def test_nothing_leaves_the_log_that_the_graph_lacks(tmp_path: Path) -> None:
    clock = Clock()
    async with ArchivingWorld(tmp_path, clock) as world:
        await world.task("a")
        await world.task("b")
        await world.settled()
        world.graph.gate.close()
        stuck = [asyncio.create_task(world.task(name)) for name in "cde"]

        async def appended() -> bool:
            return (await world.log.bounds(EVENTS, HOME))[1] == 5

        await until_async(appended, "in the log")
        clock.pass_seconds(8 * DAY_MS / 1000)
        found = await operated(world, ArchiveNow())
        assert (found["written"], found["deleted"]) == (5, 2)
        assert (await world.log.bounds(EVENTS, HOME))[0] == 2
        world.graph.gate.open()
        await asyncio.gather(*stuck)
        assert (await operated(world, Verify()))["ok"]
        assert (await operated(world, Rebuild(repair=False)))["equal"]


async def test_without_a_place_there_is_no_archive(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        with pytest.raises(Rejected, match=r"archive\.url"):
            await operated(world, ArchiveNow())


# --- the archive ---------------------------------------------------------------------------------


def record(offset: int) -> StoredRecord:
    return StoredRecord(EVENTS, 0, offset, 1_000 + offset, b"k", str(offset).encode(), {})


async def test_segments_that_overlap_are_read_once(tmp_path: Path) -> None:
    chance = random.Random(1)
    for turn in range(20):
        store = Store(str(tmp_path / str(turn)))
        wanted = [record(n) for n in range(60)]
        cuts = sorted({0, 60, *chance.choices(range(60), k=5)})
        pieces = list(itertools.pairwise(cuts))
        pieces += [tuple(sorted(chance.choices(range(61), k=2))) for _ in range(5)]
        for first, following in chance.sample(pieces, k=len(pieces)):
            if first < following:
                await Archive(store).put(1, 0, wanted[first:following])
        archive = Archive(store)
        assert await archive.bounds(1, 0) == (0, 60)
        found: list[StoredRecord] = []
        while len(found) < 60:
            more = await archive.read(1, 0, len(found), chance.randint(1, 30))
            assert more
            found += more
        assert found == wanted
        assert await archive.read(1, 0, 60, 1) is None
        assert await archive.read(2, 0, 0, 1) is None


async def test_what_is_before_a_gap_is_not_reached(tmp_path: Path) -> None:
    archive = Archive(Store(str(tmp_path)))
    await archive.put(1, 0, [record(n) for n in range(5)])
    await archive.put(1, 0, [record(n) for n in range(7, 9)])
    assert await archive.bounds(1, 0) == (7, 9)


async def test_a_damaged_segment_is_found_when_it_is_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    segment = await Archive(store).put(1, 0, [record(n) for n in range(5)])
    data = await store.get(segment.name)
    await store.put(segment.name, data[:-20] + b"x" + data[-19:])
    with pytest.raises(Corrupt, match="bring it back from a copy"):
        await Archive(store).read(1, 0, 0, 10)


async def test_another_process_may_archive_and_delete_at_any_time(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        for name in "abcdef":
            await world.task(name)
        store = Store(str(tmp_path / "archive"))
        mine = ArchivedLog(world.log, Archive(store))
        assert await mine.bounds(EVENTS, HOME) == (0, 6)
        records = await world.log.read(EVENTS, HOME, 0, 4)
        await Archive(store).put(world.log.epoch, HOME, records)
        await world.log.delete_before(EVENTS, HOME, 4)
        assert await mine.read(EVENTS, HOME, 1, 10) == records[1:]
        assert await mine.bounds(EVENTS, HOME) == (0, 6)
        await world.log.delete_before(EVENTS, HOME, 5)
        assert await mine.bounds(EVENTS, HOME) == (5, 6), "one is in neither"
        with pytest.raises(LogLost):
            await mine.read(EVENTS, HOME, 4, 1)
