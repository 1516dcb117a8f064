"""What the embedded log promises beyond the contract: its file, its clock, views, retention."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from agent_orchestration.app import wall_clock
from agent_orchestration.backends.log import LogLost, Topic
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable
from tests.running import running

HOUR_MS = 60 * 60 * 1000
NOON = 1_700_000_000_000
EVENTS = Topic("events", "the truth", 2, None)
RESULTS = Topic("command_results", "answers", 2, HOUR_MS)
TEAM_EVENTS = Topic("team_events", "feed", 9, 5, "events", frozenset({"TeamFormed", "TeamEnded"}))
TOPICS = (TEAM_EVENTS, EVENTS, RESULTS)


class Clock:
    """A clock that stands still unless it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@asynccontextmanager
async def opened(
    path: Path, clock: Clock, topics: Sequence[Topic] = TOPICS, *, fsync: bool = False
) -> AsyncGenerator[SqliteLog, None]:
    async with running(SqliteLog(path, topics, clock, fsync=fsync)) as log:
        yield log


@pytest.fixture
async def log(path: Path, clock: Clock) -> AsyncIterator[SqliteLog]:
    async with opened(path, clock) as log:
        yield log


def records(*types: str) -> list[Record]:
    return [Record(b"tenant", b"body", {"ce_type": name}) for name in types]


def offsets(found: Sequence[StoredRecord]) -> list[int]:
    return [record.offset for record in found]


# --- the file ---


def refused(path: Path, reason: str) -> None:
    """Starting on the file says why not, and leaves the file as it is."""
    before = path.read_bytes()
    with pytest.raises(Corrupt, match=reason):
        asyncio.run(SqliteLog(path, TOPICS, wall_clock).start())
    assert path.read_bytes() == before


async def write_log(path: Path, clock: Clock) -> int:
    """A log with some records; its epoch."""
    async with opened(path, clock) as log:
        await log.append("events", 0, records("TaskCreated") * 500)
        return log.epoch


def test_a_file_that_is_no_log_is_refused_with_the_remedy(path: Path) -> None:
    path.write_bytes(b"garbage, " * 1000)
    refused(path, r"log\.db: .*Restore the file from a backup, or move it")


def test_another_program_s_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as foreign, foreign:
        foreign.execute("CREATE TABLE records (something TEXT)")
    refused(path, "is an SQLite database but no log")


def test_a_newer_format_is_refused(path: Path, clock: Clock) -> None:
    asyncio.run(write_log(path, clock))
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    refused(path, "has format 99, this program knows formats up to 1")


def test_damaged_pages_are_reported_not_skipped(path: Path, clock: Clock) -> None:
    asyncio.run(write_log(path, clock))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    refused(path, "malformed")


def test_a_new_file_is_a_new_epoch(path: Path, clock: Clock) -> None:
    assert asyncio.run(write_log(path, clock)) == NOON
    path.unlink()
    clock.now += 1
    assert asyncio.run(write_log(path, clock)) == NOON + 1


async def test_other_processes_may_read_while_it_is_written(log: SqliteLog, path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        for count in (1, 2, 3):
            await log.append("events", 0, records("TaskCreated"))
            assert reader.execute("SELECT count(*) FROM records").fetchone() == (count,)


async def test_a_second_writer_is_noticed(log: SqliteLog, path: Path, clock: Clock) -> None:
    async with opened(path, clock) as zombie:
        await log.append("events", 0, records("TaskCreated"))
        with pytest.raises(Corrupt, match="another process writes this log"):
            await zombie.append("events", 0, records("TaskCreated"))


async def test_a_full_disk_refuses_the_append_and_writes_nothing(
    log: SqliteLog, path: Path
) -> None:
    resource = pytest.importorskip("resource")
    await log.append("events", 0, records("TaskCreated"))
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name("log.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, allowed[1]))
    try:
        with pytest.raises(Unavailable, match="nothing was written"):
            await log.append("events", 0, [Record(b"tenant", b"x" * 100_000)] * 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert await log.bounds("events", 0) == (0, 1)
    [stamp] = await log.append("events", 0, records("TaskStarted"))
    assert offsets(await log.read("events", 0, 0, 10)) == [0, stamp.offset] == [0, 1]


async def test_with_fsync_the_log_works_the_same(path: Path, clock: Clock) -> None:
    async with opened(path, clock, fsync=True) as log:
        await log.append("events", 0, records("TaskCreated"))
    async with opened(path, clock, fsync=True) as log:
        assert offsets(await log.read("events", 0, 0, 10)) == [0]


# --- the clock ---


async def test_a_clock_set_back_does_not_turn_the_log_s_time_back(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as log:
        await log.append("events", 0, records("TaskCreated"))
        clock.now -= HOUR_MS
        [second] = await log.append("events", 0, records("TaskStarted"))
        [elsewhere] = await log.append("events", 1, records("TaskCreated"))
    async with opened(path, clock) as log:
        [third] = await log.append("events", 0, records("TaskCompleted"))
    assert (second.timestamp, third.timestamp) == (NOON, NOON)
    assert elsewhere.timestamp == NOON - HOUR_MS


# --- retention ---


async def test_expired_records_go_and_offsets_go_on(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as log:
        for topic in ("events", "command_results"):
            await log.append(topic, 0, records(*"abc"))
        clock.now += HOUR_MS
        await log.append("command_results", 0, records("d"))
        await log.expire(clock.now + 1)
        assert await log.bounds("command_results", 0) == (3, 4)
        assert await log.bounds("events", 0) == (0, 3)
        assert offsets(await log.read("command_results", 0, 3, 10)) == [3]
        with pytest.raises(LogLost, match=r"command_results/0: position 2 .* 3 to 4"):
            await log.read("command_results", 0, 2, 10)


async def test_offsets_and_time_survive_the_deletion_of_everything(
    path: Path, clock: Clock
) -> None:
    async with opened(path, clock) as log:
        await log.append("command_results", 0, records(*"abc"))
    clock.now += 2 * HOUR_MS
    async with opened(path, clock) as log:
        assert await log.bounds("command_results", 0) == (3, 3)
        assert await log.read("command_results", 0, 3, 10) == []
    clock.now = NOON - HOUR_MS
    async with opened(path, clock) as log:
        [stamp] = await log.append("command_results", 0, records("d"))
        assert (stamp.offset, stamp.timestamp) == (3, NOON)


async def test_appending_deletes_what_has_expired(log: SqliteLog, clock: Clock) -> None:
    await log.append("command_results", 0, records("a") * 2500)
    clock.now += 2 * HOUR_MS
    for first in (1000, 2000, 2500):
        await log.append("command_results", 0, records("b"))
        assert (await log.bounds("command_results", 0))[0] == first


async def test_expiring_deletes_more_than_one_portion(log: SqliteLog) -> None:
    await log.append("command_results", 1, records("a") * 2500)
    await log.expire(NOON + HOUR_MS)
    assert await log.bounds("command_results", 1) == (0, 2500)
    await log.expire(NOON + HOUR_MS + 1)
    assert await log.bounds("command_results", 1) == (2500, 2500)


# --- views ---


async def test_a_view_has_the_matching_records_at_their_offsets(log: SqliteLog) -> None:
    mixed = ("TeamFormed", "TaskCreated", "TeamEnded", "TeamFormed", "TaskCreated")
    await log.append("events", 0, [*records(*mixed), Record(b"tenant", b"untyped")])
    found = await log.read("team_events", 0, 0, 10)
    assert offsets(found) == [0, 2, 3]
    assert {r.topic for r in found} == {"team_events"}
    assert offsets(await log.read("team_events", 0, 1, 1)) == [2]
    assert await log.read("team_events", 0, 4, 10) == []
    assert await log.bounds("team_events", 0) == (0, 6)
    with pytest.raises(LogLost, match="team_events/0: position 7"):
        await log.read("team_events", 0, 7, 10)


async def test_a_view_is_followed_over_a_long_stretch_without_a_match(log: SqliteLog) -> None:
    await log.append("events", 0, records("TeamFormed"))
    await log.append("events", 0, records("TaskCreated") * 5000)
    await log.append("events", 0, records("TeamEnded"))
    assert offsets(await log.read("team_events", 0, 1, 10)) == [5001]


async def test_waiting_on_a_view_is_waiting_for_a_match(log: SqliteLog) -> None:
    waiting = asyncio.create_task(log.wait("team_events", 0, 0, 30))
    await log.append("events", 0, records("TaskCreated"))
    assert not await log.wait("team_events", 0, 0, 0.01)
    assert not waiting.done()
    await log.append("events", 0, records("TeamFormed"))
    assert await waiting
    assert not await log.wait("team_events", 0, 2, 0.01)


async def test_a_view_takes_partitions_and_retention_from_its_base(log: SqliteLog) -> None:
    view = log.topics()["team_events"]
    assert (view.partitions, view.retention_ms) == (EVENTS.partitions, EVENTS.retention_ms)
    with pytest.raises(Rejected, match="team_events is a view: append to events"):
        await log.append("team_events", 0, records("TeamFormed"))


def test_a_view_needs_a_plain_topic(path: Path) -> None:
    with pytest.raises(ValueError, match="team_events is a view of events"):
        SqliteLog(path, [TEAM_EVENTS], wall_clock)


async def test_what_a_group_has_still_to_read_is_kept_whatever_its_age(
    path: Path, clock: Clock
) -> None:
    log = SqliteLog(path, TOPICS, clock)
    await log.start()
    for n in range(4):
        await log.append(RESULTS.name, 0, [Record(b"k", str(n).encode())])
    await log.commit("group", RESULTS.name, 0, 2)
    clock.now += 2 * HOUR_MS
    await log.expire(clock.now)
    assert await log.bounds(RESULTS.name, 0) == (2, 4)
    await log.stop()
