"""Topics of a real Kafka as files, and back."""

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.backends.log import OutcomeUnknown, Stamp
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.record_lines import LineWriter
from agent_orchestration.backends.log.topic_file import TopicFile, written
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, NotFound, Rejected, Unavailable
from agent_orchestration.core.operations import Rebuild, Verify
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.topic_export import TopicExported, export_topic
from agent_orchestration.pipeline.topic_import import TopicImported, import_topic
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP
from tests.contracts.kafka_topics import own_topics
from tests.contracts.test_new_epoch import (
    TOPICS,
    Parts,
    Place,
    envelope,
    kept,
    parts_of,
    quiet,
    told,
)
from tests.services import kafka

FEED = "agent_events"
ANN: dict[str, Any] = {"id": "ann", "name": "ann", "kind": "function", "capabilities": []}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with own_topics(kafka.bootstrap_servers(), num_partitions=1) as cluster:
        await cluster.make(TOPICS)
        yield Place(cluster, tmp_path)


def silent(_what: str, _done: int, _total: int) -> None: ...


async def exported(parts: Parts, topic: str, path: Path) -> TopicExported:
    with written(path) as file:
        return await export_topic(parts.log, topic, file, silent)


async def imported(place: Place, path: Path, topic: str | None = None) -> TopicImported:
    parts = parts_of(place.cluster, place.folder)
    return await import_topic(parts.log, topic, TopicFile(path), quiet, silent)


async def operated(place: Place, operation: Any) -> dict[str, Any]:
    return [step async for step in place.platform.operate(operation)][-1]


async def busy(place: Place) -> Path:
    """An installation with some history, and one command that nobody decided; its events."""
    path = place.folder / "events.json.gz"
    async with place.at_work() as parts:
        await place.call("register_agent", **ANN)
        await place.task("a")
        await place.call("create_task", id="large", title="large", payload="x" * 100_000)
        await place.call("claim_task", agent_id="ann")
        found = await exported(parts, EVENTS, path)
        assert (found.records, found.partitions) == (4, 1)
        await parts.raw.commit(GROUP, COMMANDS, 0, 1)
    async with place.renewing() as (parts, _):
        left = [envelope("late", CreateTask(task_id="late", title="late"))]
        await parts.raw.append(COMMANDS, 0, left)
    return path


@pytest.mark.parametrize("graph_lost", [False, True])
async def test_events_that_were_lost_are_put_back_and_the_platform_goes_on(
    place: Place, graph_lost: bool
) -> None:
    path = await busy(place)
    before = [(r.key, r.value, r.headers) for r in TopicFile(path).records()]
    await place.lose(EVENTS)
    if graph_lost:
        shutil.rmtree(place.folder / "graph")
    found = await imported(place, path)
    assert (found.topic, found.records, found.found) == (EVENTS, 4, 0)
    plan = await place.renew()
    assert plan.tenants == []
    async with place.at_work() as parts:
        await place.task("b")
        # What was decided is not decided again; what waited is decided now.
        assert [seq for seq, _ in await told(parts)] == [1, 2, 3, 4, 5, 6]
        after = [r async for records in batches(parts.log, EVENTS, 0) for r in records]
        assert [(r.key, r.value, r.headers) for r in after][:4] == before
        tasks = (await place.call("list_tasks"))["tasks"]
        assert {one["id"]: one["status"] for one in tasks} == {
            "a": "running",
            "large": "ready",
            "late": "ready",
            "b": "ready",
        }
        assert (await operated(place, Verify()))["ok"]
        assert (await operated(place, Rebuild(repair=False)))["equal"]


async def test_an_import_that_was_interrupted_is_repeated_before_anything_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await busy(place)
    await place.lose(EVENTS)
    append = KafkaLog.append

    async def failing(
        self: KafkaLog, topic: str, partition: int, records: Sequence[Record]
    ) -> list[Stamp]:
        await append(self, topic, partition, records[:3])
        raise OutcomeUnknown("test", "no answer")

    with monkeypatch.context() as patch:
        patch.setattr(KafkaLog, "append", failing)
        with pytest.raises(OutcomeUnknown):
            await imported(place, path)
    says = r"topics import FILE --topic events` did not end.*repeat it"
    with pytest.raises(Rejected, match=says):
        await parts_of(place.cluster, place.folder).log.start()
    await place.cluster.make(TOPICS)
    with pytest.raises(Rejected, match=says):
        await place.renew()
    feed = place.folder / "feed.json"
    with written(feed) as file:
        LineWriter(file, msgspec.structs.replace(TopicFile(path).head(), topic=FEED)).end()
    with pytest.raises(Rejected, match=says):
        await imported(place, feed)
    found = await imported(place, path)
    assert (found.records, found.found) == (4, 3)
    # Where the platform goes on has still to be found: by no other way than this.
    with pytest.raises(Rejected, match=r"topics create --new-epoch` did not end.*repeat it"):
        await parts_of(place.cluster, place.folder).log.start()
    await place.renew()
    assert (await imported(place, path)).found == 4, "harmless: it is what is there"
    async with place.at_work():
        assert (await operated(place, Verify()))["ok"]


async def test_a_damaged_file_changes_nothing(place: Place) -> None:
    path = await busy(place)
    await place.lose(EVENTS)
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with pytest.raises(Corrupt, match="is damaged"):
        await imported(place, path)
    async with place.renewing() as (parts, _):
        assert await parts.raw.bounds(EVENTS, 0) == (0, 0)


async def test_a_feed_goes_out_and_comes_back(place: Place) -> None:
    path = place.folder / "feed.json"
    records = [
        Record(b"ann", b'{"a":1}', {"ce_type": "X"}),
        Record(b"\xff", b"\x00\xfe", {}),
        Record(b"bob", b"y" * 200_000, {"ce_type": "Y"}),
    ]
    parts = parts_of(place.cluster, place.folder)
    await parts.start()
    await parts.log.append(FEED, 0, records)
    assert (await exported(parts, FEED, path)).records == 3
    assert [row["key"] for row in rows(path) if "key" in row] == ["ann", "bob"]
    with pytest.raises(NotFound, match="no topic nonsense"):
        await exported(parts, "nonsense", path)
    await parts.stop()
    assert (await imported(place, path)).found == 3, "harmless: it is what is there"
    await place.lose(FEED)
    assert (await imported(place, path)).found == 0
    parts = parts_of(place.cluster, place.folder)
    await parts.start()
    back = [r async for its in batches(parts.log, FEED, 0) for r in its]
    assert [Record(r.key, r.value, dict(r.headers)) for r in back] == records
    [_, _, third] = await kept(parts, FEED)
    assert third.value == b"", "large values are beside the log again"
    await parts.log.append(FEED, 0, records[:1])
    await parts.stop()
    with pytest.raises(Rejected, match=r"not those of the file \(the first at 0/3\): delete it"):
        await imported(place, path)
    with pytest.raises(Rejected, match="make the topic with as many"):
        await imported(place, path, "system_events")
    with pytest.raises(Rejected, match="are no history"):
        await imported(place, path, EVENTS)
    with pytest.raises(Rejected, match="would be decided again"):
        await imported(place, path, COMMANDS)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_records_that_expire_meanwhile_are_told(place: Place) -> None:
    parts = parts_of(place.cluster, place.folder)
    await parts.start()
    await parts.log.append(FEED, 0, [Record(b"a", b"%d" % n) for n in range(3)])
    read = parts.log.read

    async def late(topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        await place.lose_before(FEED, 2)
        return await read(topic, partition, offset, limit)

    setattr(parts.log, "read", late)  # noqa: B010 (a method)
    with pytest.raises(Unavailable, match=r"agent_events/0: records left .*repeat"):
        await exported(parts, FEED, place.folder / "x.json")
    assert not (place.folder / "x.json").exists()
    await parts.stop()
