"""What every log promises. An implementation joins by adding its name to `open_log`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from agent_orchestration.app import wall_clock
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.log import DAY_MS, Log, LogLost, Stamp, Topic, claim_check
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import NotFound, Rejected, Unavailable
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.services import kafka

COMMANDS = Topic("commands", "every command", 3, 7 * DAY_MS)
EVENTS = Topic("events", "the truth", 3, None)
AUDIT = Topic("system_events", "rejections", 2, None)
TOPICS = (COMMANDS, EVENTS, AUDIT)

OpenLog = Callable[[Sequence[Topic]], Awaitable[Log]]


@pytest.fixture
async def kafka_topics(request: pytest.FixtureRequest) -> AsyncIterator[KafkaTopics | None]:
    if "kafka" not in request.node.callspec.params.get("open_log", ""):
        yield None
        return
    async with own_topics(kafka.bootstrap_servers()) as topics:
        yield topics


@pytest.fixture(params=["sqlite", "sqlite with claim check", "kafka"])
async def open_log(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kafka_topics: KafkaTopics | None,
) -> AsyncIterator[OpenLog]:
    """Opens one and the same log; the one opened before is stopped first, as by a restart."""
    opened: list[Log] = []
    # Every value is kept elsewhere: the suite must not notice.
    monkeypatch.setattr(claim_check, "BLOB_THRESHOLD", 0)

    async def open_again(topics: Sequence[Topic]) -> Log:
        if opened:
            await opened.pop().stop()
        if kafka_topics is not None:
            log: Log = await kafka_topics.log(topics)
        else:
            log = SqliteLog(tmp_path / "data" / "log.db", topics, wall_clock)
        if "claim check" in request.param:
            log = claim_check.ClaimCheckLog(log, FolderBlobs(tmp_path / "blobs"))
        await log.start()
        opened.append(log)
        return log

    yield open_again
    for log in opened:
        await log.stop()


@pytest.fixture
async def log(open_log: OpenLog) -> Log:
    return await open_log(TOPICS)


def records(*values: str) -> list[Record]:
    return [Record(b"tenant", value.encode(), {"ce_type": "TaskCreated"}) for value in values]


def values(found: Sequence[StoredRecord]) -> list[str]:
    return [record.value.decode() for record in found]


async def started(log: Log, offset: int, seconds: float = 30) -> asyncio.Task[bool]:
    """A task that is inside `wait` when this returns."""
    running = asyncio.Event()

    async def wait() -> bool:
        running.set()
        return await log.wait("events", 0, offset, seconds)

    task = asyncio.create_task(wait())
    await running.wait()
    return task


async def test_records_are_read_in_the_order_of_appending(log: Log) -> None:
    first = await log.append("events", 1, records("a", "b"))
    second = await log.append("events", 1, records("c"))
    assert [stamp.offset for stamp in first + second] == [0, 1, 2]
    found = await log.read("events", 1, 0, 10)
    assert values(found) == ["a", "b", "c"]
    assert [Stamp(r.offset, r.timestamp) for r in found] == first + second
    assert {(r.topic, r.partition) for r in found} == {("events", 1)}


async def test_partitions_and_topics_are_apart(log: Log) -> None:
    for topic, partition in (("events", 0), ("events", 2), ("commands", 0)):
        [stamp] = await log.append(topic, partition, records(f"{topic}-{partition}"))
        assert stamp.offset == 0
    for topic, partition in (("events", 0), ("events", 2), ("commands", 0)):
        assert values(await log.read(topic, partition, 0, 10)) == [f"{topic}-{partition}"]
    assert await log.read("events", 1, 0, 10) == []


async def test_reading_starts_at_the_offset_and_stops_at_the_limit(log: Log) -> None:
    await log.append("events", 0, records(*"abcdef"))
    assert values(await log.read("events", 0, 2, 3)) == ["c", "d", "e"]
    assert values(await log.read("events", 0, 5, 3)) == ["f"]
    assert await log.read("events", 0, 2, 0) == []


async def test_bytes_and_headers_come_back_as_they_were(log: Log) -> None:
    everything = Record(
        key="ключ/🔑".encode(),
        value=bytes(range(256)) * 100,
        headers={"ce_type": "Größe 大小 🎈", "empty": "", 'quote"\\': "line\nbreak\ttab\x00nul"},
    )
    nothing = Record(key=b"", value=b"")
    await log.append("events", 0, [everything, nothing])
    for sent, found in zip((everything, nothing), await log.read("events", 0, 0, 9), strict=True):
        assert (found.key, found.value) == (sent.key, sent.value)
        assert dict(found.headers) == sent.headers


async def test_an_empty_batch_appends_nothing(log: Log) -> None:
    assert await log.append("events", 0, []) == []
    assert await log.bounds("events", 0) == (0, 0)


async def test_bounds_are_the_first_record_kept_and_the_next_offset(log: Log) -> None:
    assert await log.bounds("events", 0) == (0, 0)
    await log.append("events", 0, records("a", "b"))
    assert await log.bounds("events", 0) == (0, 2)
    assert await log.bounds("events", 1) == (0, 0)


async def test_the_first_records_can_be_deleted(open_log: OpenLog) -> None:
    log = await open_log(TOPICS)
    await log.append("events", 1, records(*(str(n) for n in range(2500))))
    await log.delete_before("events", 1, 2100)
    for _ in range(2):
        await log.delete_before("events", 1, 2100)
        await log.delete_before("events", 1, 7)
        assert await log.bounds("events", 1) == (2100, 2500)
        assert await log.bounds("events", 0) == (0, 0)
        with pytest.raises(LogLost):
            await log.read("events", 1, 2099, 1)
        assert values(await log.read("events", 1, 2100, 2)) == ["2100", "2101"]
        with pytest.raises(LogLost):
            await log.delete_before("events", 1, 2501)
        log = await open_log(TOPICS)
    await log.delete_before("events", 1, 2500)
    assert await log.bounds("events", 1) == (2500, 2500)
    [stamp] = await log.append("events", 1, records("next"))
    assert stamp.offset == 2500


async def test_the_end_is_empty_and_positions_outside_are_lost(log: Log) -> None:
    await log.append("events", 0, records("a", "b"))
    assert await log.read("events", 0, 2, 10) == []
    for offset in (3, -1):
        with pytest.raises(LogLost, match=f"events/0: position {offset} .* 0 to 2") as lost:
            await log.read("events", 0, offset, 10)
        assert lost.value.details["position"] == offset


async def test_timestamps_never_go_back(log: Log) -> None:
    stamps = [(await log.append("events", 0, records(str(n))))[0] for n in range(50)]
    times = [stamp.timestamp for stamp in stamps]
    assert times == sorted(times)
    assert [r.timestamp for r in await log.read("events", 0, 0, 50)] == times


async def test_concurrent_appends_leave_no_gap_and_lose_nothing(log: Log) -> None:
    async def appender(name: int) -> list[tuple[int, str]]:
        sent: list[tuple[int, str]] = []
        for n in range(20):
            batch = [f"{name}-{n}-{i}" for i in range(1 + n % 3)]
            stamps = await log.append("events", 0, records(*batch))
            sent += zip((stamp.offset for stamp in stamps), batch, strict=True)
        return sent

    sent = [one for many in await asyncio.gather(*map(appender, range(32))) for one in many]
    found = await log.read("events", 0, 0, len(sent) + 1)
    assert [r.offset for r in found] == list(range(len(sent)))
    assert [(r.offset, r.value.decode()) for r in found] == sorted(sent)


async def test_waiting_for_what_exists_returns_at_once(log: Log) -> None:
    await log.append("events", 0, records("a", "b"))
    assert await log.wait("events", 0, 1, 0)


async def test_waiting_ends_with_false_on_time_out(log: Log) -> None:
    await log.append("events", 1, records("another partition"))
    assert not await log.wait("events", 0, 0, 0.01)


async def test_an_append_wakes_those_it_satisfies_and_no_others(log: Log) -> None:
    soon, too, later = [await started(log, offset) for offset in (0, 0, 2)]
    await log.append("events", 0, records("a"))
    assert await soon
    assert await too
    assert not later.done()
    await log.append("events", 0, records("b", "c"))
    assert await later


async def test_a_cancelled_wait_leaves_the_others_waiting(log: Log) -> None:
    cancelled, other = [await started(log, 0) for _ in range(2)]
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await log.append("events", 0, records("a"))
    assert await other


async def test_a_follower_sees_every_record_while_it_is_appended(log: Log) -> None:
    async def follow() -> list[str]:
        seen: list[str] = []
        while len(seen) < 300 and await log.wait("events", 0, len(seen), 30):
            seen += values(await log.read("events", 0, len(seen), 7))
        return seen

    followers = [asyncio.create_task(follow()) for _ in range(2)]
    for n in range(100):
        await log.append("events", 0, records(f"{n}a", f"{n}b", f"{n}c"))
        await log.read("events", 0, 0, 1)
    expected = [f"{n}{letter}" for n in range(100) for letter in "abc"]
    assert await asyncio.gather(*followers) == [expected, expected]


async def test_stopping_ends_waits_and_later_calls_say_so(log: Log) -> None:
    waiting = await started(log, 0)
    await log.stop()
    assert not await waiting
    with pytest.raises(Unavailable, match="not open"):
        await log.append("events", 0, records("late"))
    with pytest.raises(Unavailable, match="not open"):
        await log.wait("events", 0, 0, 30)


async def test_positions_are_kept_per_group_topic_and_partition(log: Log) -> None:
    assert await log.committed("readers", "events", 0) is None
    await log.commit("readers", "events", 0, 3)
    await log.commit("readers", "events", 0, 5)
    await log.commit("readers", "events", 1, 7)
    await log.commit("readers", "commands", 0, 9)
    await log.commit("others", "events", 0, 1)
    assert await log.committed("readers", "events", 0) == (log.epoch, 5)
    assert await log.committed("readers", "events", 1) == (log.epoch, 7)
    assert await log.committed("readers", "commands", 0) == (log.epoch, 9)
    assert await log.committed("others", "events", 0) == (log.epoch, 1)
    assert await log.committed("others", "events", 1) is None


async def test_a_restart_keeps_everything(open_log: OpenLog) -> None:
    log = await open_log(TOPICS)
    await log.append("events", 0, records("a", "b"))
    await log.commit("readers", "events", 0, 1)
    before, epoch = await log.read("events", 0, 0, 10), log.epoch
    log = await open_log(TOPICS)
    assert log.epoch == epoch != 0
    assert await log.read("events", 0, 0, 10) == before
    assert await log.bounds("events", 0) == (0, 2)
    assert await log.committed("readers", "events", 0) == (epoch, 1)
    [stamp] = await log.append("events", 0, records("c"))
    assert stamp.offset == 2
    assert stamp.timestamp >= before[-1].timestamp


async def test_a_topic_can_be_added_later(open_log: OpenLog) -> None:
    log = await open_log([EVENTS])
    await log.append("events", 0, records("a"))
    log = await open_log(TOPICS)
    assert await log.bounds("commands", 0) == (0, 0)
    assert values(await log.read("events", 0, 0, 10)) == ["a"]
    assert set(log.topics()) == {"commands", "events", "system_events"}


async def test_a_changed_partition_count_is_refused(open_log: OpenLog) -> None:
    await open_log(TOPICS)
    changed = Topic(AUDIT.name, AUDIT.carries, 4, None)
    with pytest.raises(Rejected, match=r"events has 2 partitions .* and 4 in the configuration"):
        await open_log([COMMANDS, EVENTS, changed])
    await open_log(TOPICS)


async def test_unknown_topics_and_partitions_are_not_found(log: Log) -> None:
    with pytest.raises(NotFound, match="no topic nonsense"):
        await log.read("nonsense", 0, 0, 10)
    with pytest.raises(NotFound, match="no partition 3 in topic events"):
        await log.append("events", 3, records("a"))


async def test_a_member_owns_its_partitions_until_it_leaves(log: Log) -> None:
    told: list[tuple[str, frozenset[int]]] = []

    async def assigned(partitions: frozenset[int]) -> None:
        told.append(("assigned", partitions))

    async def revoked(partitions: frozenset[int]) -> None:
        told.append(("revoked", partitions))

    await log.join("processors", ["commands", "events"], assigned, revoked)
    assert told == [("assigned", frozenset({0, 1, 2}))]
    await log.leave("processors")
    assert told == [("assigned", frozenset({0, 1, 2})), ("revoked", frozenset({0, 1, 2}))]
    with pytest.raises(Rejected, match="counts must be equal"):
        await log.join("processors", ["events", "system_events"], assigned, revoked)
