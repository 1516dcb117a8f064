"""The log with claim check: large values are kept in the blob store, and nobody else notices.

That it keeps what every log promises is shown in `test_log.py`.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_orchestration.app import wall_clock
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.log import OutcomeUnknown, Topic, claim_check
from agent_orchestration.backends.log.claim_check import HEADER, ClaimCheckLog
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.core.types import BLOB_THRESHOLD

TOPICS = [
    Topic("events", "the truth", 1, None),
    Topic("feed", "a view", 1, None, view_of="events", types=frozenset({"Large"})),
]
LARGE = bytes(range(256)) * 1024


def record(value: bytes, type_: str = "Large") -> Record:
    return Record(b"tenant", value, {"ce_type": type_, "other": "x"})


def file_of(folder: Path, value: bytes) -> Path:
    digest = hashlib.sha256(value).hexdigest()
    return folder / "blobs" / digest[:2] / digest


def kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in (folder / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
async def inner(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.sqlite", TOPICS, wall_clock)
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
def log(inner: SqliteLog, tmp_path: Path) -> ClaimCheckLog:
    return ClaimCheckLog(inner, FolderBlobs(tmp_path / "blobs"))


async def test_a_large_value_is_kept_elsewhere_and_comes_back(
    log: ClaimCheckLog, inner: SqliteLog, tmp_path: Path
) -> None:
    await log.append("events", 0, [record(LARGE)])
    [stored] = await inner.read("events", 0, 0, 9)
    digest = hashlib.sha256(LARGE).hexdigest()
    assert stored.value == b""
    assert dict(stored.headers) == {"ce_type": "Large", "other": "x", HEADER: digest}
    assert file_of(tmp_path, LARGE).read_bytes() == LARGE
    [found] = await log.read("events", 0, 0, 9)
    assert found.value == LARGE
    assert dict(found.headers) == {"ce_type": "Large", "other": "x"}


@pytest.mark.parametrize(
    ("size", "elsewhere"), [(0, False), (BLOB_THRESHOLD, False), (BLOB_THRESHOLD + 1, True)]
)
async def test_only_what_is_too_large_is_kept_elsewhere(
    log: ClaimCheckLog, tmp_path: Path, size: int, elsewhere: bool
) -> None:
    await log.append("events", 0, [record(b"x" * size)])
    assert kept(tmp_path) == ([b"x" * size] if elsewhere else [])
    [found] = await log.read("events", 0, 0, 9)
    assert found.value == b"x" * size


async def test_small_and_large_stay_in_order(log: ClaimCheckLog) -> None:
    values = [b"a", LARGE, b"b", LARGE + b"2", b""]
    stamps = await log.append("events", 0, [record(value) for value in values])
    assert [stamp.offset for stamp in stamps] == [0, 1, 2, 3, 4]
    assert [one.value for one in await log.read("events", 0, 0, 9)] == values
    assert [one.value for one in await log.read("events", 0, 1, 2)] == values[1:3]


async def test_the_same_value_twice_is_kept_once(log: ClaimCheckLog, tmp_path: Path) -> None:
    await log.append("events", 0, [record(LARGE), record(LARGE)])
    await log.append("events", 0, [record(LARGE)])
    assert kept(tmp_path) == [LARGE]
    assert [one.value for one in await log.read("events", 0, 0, 9)] == [LARGE] * 3


async def test_views_have_large_values_too(log: ClaimCheckLog) -> None:
    await log.append("events", 0, [record(b"small", "Small"), record(LARGE)])
    [found] = await log.read("feed", 0, 0, 9)
    assert (found.offset, found.value) == (1, LARGE)


async def test_one_read_fetches_no_more_than_it_may_but_one_record_at_least(
    log: ClaimCheckLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_check, "READ_BYTES", 2 * len(LARGE))
    values = [LARGE + bytes([n]) for n in range(3)] + [b"small"] * 3
    await log.append("events", 0, [record(value) for value in values])
    read: list[bytes] = []
    reads = 0
    while found := await log.read("events", 0, len(read), 9):
        read += [one.value for one in found]
        reads += 1
    assert read == values
    assert reads == 3


async def test_nothing_is_appended_where_a_value_cannot_be_kept(
    log: ClaimCheckLog, tmp_path: Path
) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="cannot be kept"):
        await log.append("events", 0, [record(b"small"), record(LARGE)])
    assert await log.bounds("events", 0) == (0, 0)


async def test_a_value_is_there_before_the_record_that_names_it(
    inner: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies in between leaves a blob that nobody names, never a name without its blob."""

    async def dies(*_: object) -> None:
        assert file_of(tmp_path, LARGE).exists()
        raise OutcomeUnknown("died", "the process ended here")

    monkeypatch.setattr(inner, "append", dies)
    log = ClaimCheckLog(inner, FolderBlobs(tmp_path / "blobs"))
    with pytest.raises(OutcomeUnknown):
        await log.append("events", 0, [record(LARGE)])
    monkeypatch.undo()
    await log.append("events", 0, [record(LARGE)])
    [found] = await log.read("events", 0, 0, 9)
    assert found.value == LARGE


@pytest.mark.parametrize("damage", ["missing", "changed", "cut"])
async def test_a_value_that_is_lost_or_damaged_stops_the_reader(
    log: ClaimCheckLog, tmp_path: Path, damage: str
) -> None:
    await log.append("events", 0, [record(b"small"), record(LARGE)])
    path = file_of(tmp_path, LARGE)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(LARGE[:-1] if damage == "cut" else b"x" + LARGE[1:])
    with pytest.raises(Corrupt, match=path.name) as caught:
        await log.read("events", 0, 0, 9)
    assert "backup" in caught.value.reason
    path.write_bytes(LARGE)
    assert len(await log.read("events", 0, 0, 9)) == 2
