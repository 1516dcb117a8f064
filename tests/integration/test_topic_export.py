"""Topics of the embedded log as files: the views on `events` too, and what only the archive has."""

from pathlib import Path

import pytest

from agent_orchestration.app import open_backends
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.topic_file import TopicFile, written
from agent_orchestration.config import Archive as ArchiveSettings
from agent_orchestration.config import Config
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.operations import Archive
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.topic_export import TopicExported, export_topic
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, PARTITIONS, SYSTEM_EVENTS
from tests.integration.test_archive import ArchivingWorld, operated
from tests.integration.test_rebuild import busy_history
from tests.integration.world import Clock, World
from tests.running import running

TENANTS = ("default", "acme", "tenant-1")
DAY_SECONDS = 86_400


async def exported(log: Log, topic: str, path: Path) -> tuple[TopicExported, list[StoredRecord]]:
    """What is in the file; its progress went up to the end."""
    steps: list[tuple[int, int]] = []

    def told(_what: str, done: int, total: int) -> None:
        steps.append((done, total))

    with written(path) as file:
        found = await export_topic(log, topic, file, told)
    done = [one for one, _ in steps]
    assert done == sorted(done)
    assert steps[-1][0] == steps[-1][1]
    return found, list(TopicFile(path).records())


async def kept(log: Log, topic: str) -> list[StoredRecord]:
    partitions = range(log.topics()[topic].partitions)
    return [r for n in partitions async for records in batches(log, topic, n) for r in records]


async def test_every_topic_of_the_log_is_exported_as_it_is_read(tmp_path: Path) -> None:
    folder, path = tmp_path / "data", tmp_path / "topic.json.gz"
    async with World(folder) as world:
        for tenant in TENANTS:
            await busy_history(world, tenant)
        await world.task("large", payload="x" * 100_000)
    async with running(open_backends(Config(data=folder)).log) as log:
        sizes: dict[str, int] = {}
        for topic in log.topics():
            found, records = await exported(log, topic, path)
            assert records == await kept(log, topic)
            assert (found.records, found.epoch) == (len(records), log.epoch)
            sizes[topic] = found.records
    feeds = [topic for topic in sizes if topic.endswith("_events") and topic != SYSTEM_EVENTS]
    assert len(feeds) == 4
    assert sizes[EVENTS] == sum(sizes[feed] for feed in feeds)
    assert sizes[COMMANDS] >= sizes[EVENTS] > 100
    assert sizes["agent_events"] > 0
    assert sizes["task_events"] > 0


async def test_what_only_the_archive_has_is_exported_too(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "data"
    async with ArchivingWorld(folder, clock) as world:
        await busy_history(world, "default")
        await world.settled_everywhere()
        whole = await world.records(EVENTS)
        clock.pass_seconds(8 * DAY_SECONDS)
        assert (await operated(world, Archive()))["deleted"] > 0
    settings = Config(data=folder, archive=ArchiveSettings(url=str(folder / "archive")))
    async with running(open_backends(settings, clock).log) as log:
        _, records = await exported(log, EVENTS, tmp_path / "events.json")
        assert records == whole


async def test_it_ends_where_the_topic_ended_when_it_began(tmp_path: Path) -> None:
    async with running(open_backends(Config(data=tmp_path / "data")).log) as log:
        for number in range(PARTITIONS):
            await log.append(SYSTEM_EVENTS, number, [Record(b"t", b"%d" % n) for n in range(1500)])
        before = await kept(log, SYSTEM_EVENTS)
        read = log.read

        async def busy(topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
            await log.append(topic, partition, [Record(b"t", b"later")])
            return await read(topic, partition, offset, limit)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log, "read", busy)
            found, records = await exported(log, SYSTEM_EVENTS, tmp_path / "x.json")
        assert records == before
        assert (found.records, found.partitions) == (1500 * PARTITIONS, PARTITIONS)


async def test_a_topic_that_there_is_not_is_named(tmp_path: Path) -> None:
    async with running(open_backends(Config(data=tmp_path / "data")).log) as log:
        with pytest.raises(NotFound, match="no topic nonsense: there are commands, events"):
            await exported(log, "nonsense", tmp_path / "x.json")
