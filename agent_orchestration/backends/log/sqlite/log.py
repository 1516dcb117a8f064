"""The embedded log: every topic in one SQLite file, written by one process.

The file is in WAL mode, so other processes may read it meanwhile. Calls run inline on the event
loop: an append takes tens of microseconds, less than handing it to a thread would.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.backends.log import (
    Assigned,
    Position,
    Stamp,
    Topic,
    common_count,
    declared,
    log_lost,
)
from agent_orchestration.backends.log.sqlite import file as sql
from agent_orchestration.backends.log.sqlite.held import HeldPartition
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Rejected

_EXPIRE_AT_ONCE = 1000
_EXPIRE_EVERY_MS = 60_000


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class SqliteLog:
    """A `Log` in one SQLite file.

    Acknowledged records survive the death of the process; with `fsync` that of the machine too.
    `clock` gives milliseconds since the epoch. Raises `ValueError` for a view of no topic.
    """

    def __init__(
        self,
        path: Path,
        topics: Iterable[Topic],
        clock: Callable[[], int],
        *,
        fsync: bool = False,
    ) -> None:
        self.epoch = 0
        self._clock = clock
        self._topics = _resolve_views({topic.name: topic for topic in topics})
        self._partitions: dict[tuple[str, int], HeldPartition] = {}
        self._members: dict[str, tuple[frozenset[int], Assigned]] = {}
        self._file = sql.LogFile(path, fsync=fsync)

    async def start(self) -> None:
        """Open or create the file, and delete what is older than its topic's retention.

        Raises `Corrupt` for a file that is no log or of a newer format, `Rejected` for a changed
        partition count and for an unfinished copy, `Unavailable` where it cannot be opened.
        """
        await self._open(self._file.epoch)

    async def start_copy(self, source: int) -> None:
        """See `CopyTarget`."""
        await self._open(lambda now: self._file.begin_copy(source, now))

    async def end_copy(self) -> None:
        """See `CopyTarget`."""
        self._file.end_copy()

    async def _open(self, epoch: Callable[[int], int]) -> None:
        try:
            self._file.open()
            now = self._clock()
            self.epoch = epoch(now)
            self._load()
            await self.expire(now)
        except BaseException:
            await self.stop()
            raise

    def _load(self) -> None:
        # Views last: they share the partitions of their base.
        for topic in sorted(self._topics.values(), key=lambda topic: topic.view_of is not None):
            number = 0 if topic.view_of else self._file.topic_id(topic)
            for partition in range(topic.partitions):
                self._partitions[topic.name, partition] = (
                    self._partitions[topic.view_of, partition]
                    if topic.view_of
                    else self._load_partition((number, partition))
                )

    def _load_partition(self, place: tuple[int, int]) -> HeldPartition:
        [(first, known)] = self._file.rows(sql.EXPIRED, place) or [(0, 0)]
        [(last, timestamp)] = self._file.rows(sql.LAST, place) or [(first - 1, known)]
        return HeldPartition(place, first, last + 1, timestamp)

    async def stop(self) -> None:
        """Close the file; waits in progress end with False, later calls raise `Unavailable`."""
        self._file.close()
        for held in self._partitions.values():
            held.wake()
        self._partitions.clear()
        self._members.clear()

    def topics(self) -> Mapping[str, Topic]:
        """The topics by name; a view has the partition count and retention of its base."""
        return self._topics

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """Append all records in one transaction. Raises `Unavailable` (nothing written)."""
        held = self._find(topic, partition)
        base = self._topics[topic]
        if base.view_of is not None:
            reason = f"topic {topic} is a view: append to {base.view_of}"
            raise Rejected("topic_is_view", reason, field="topic")
        if not records:
            return []
        now = max(self._clock(), held.timestamp)
        if now >= held.expire_at:
            # Before the append: if this fails, nothing was written and the caller hears so.
            self._expire_some(base, held, now)
        rows = [
            (*held.place, at, now, r.headers.get("ce_type"), r.key, r.value, _json(r.headers))
            for at, r in enumerate(records, held.end)
        ]
        with self._file.transaction() as db:
            db.executemany(sql.INSERT, rows)
        stamps = [Stamp(at, now) for at in range(held.end, held.end + len(rows))]
        held.end += len(rows)
        held.timestamp = now
        held.wake()
        return stamps

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """See `Log`. Of a view, the next records of its types, however far ahead."""
        # No I/O is awaited here: without this a reader that catches up would starve all others.
        await asyncio.sleep(0)
        held = self._find(topic, partition)
        if not held.first <= offset <= held.end:
            raise log_lost(topic, partition, offset, held.first, held.end)
        rows = self._rows(topic, held, offset, max(limit, 0)) if offset < held.end else []
        return [sql.record_of(topic, partition, row) for row in rows]

    def _rows(self, topic: str, held: HeldPartition, offset: int, limit: int) -> list[Any]:
        if self._topics[topic].view_of is None:
            return self._file.rows(sql.RECORDS_FROM, (*held.place, offset, limit))
        offsets = sorted(self._view_offsets(topic, held, offset, limit))[:limit]
        return self._file.rows(sql.RECORDS_AT, (*held.place, _json(offsets)))

    def _view_offsets(self, topic: str, held: HeldPartition, offset: int, limit: int) -> list[int]:
        """Of each of the view's types, the offsets of its next `limit` records."""
        return [
            at
            for name in self._topics[topic].types
            for (at,) in self._file.rows(sql.OFFSETS_OF_TYPE, (*held.place, name, offset, limit))
        ]

    async def wait(self, topic: str, partition: int, offset: int, seconds: float) -> bool:
        """Wait until a record at `offset` or beyond exists, of a view one of its types; False on
        time-out and when the log is stopped meanwhile."""
        held = self._find(topic, partition)
        try:
            async with asyncio.timeout(seconds):
                while not self._has(topic, held, offset):
                    await held.change()
                    if self._partitions.get((topic, partition)) is not held:
                        return False
        except TimeoutError:
            return False
        return True

    def _has(self, topic: str, held: HeldPartition, offset: int) -> bool:
        if self._topics[topic].view_of is None or held.end <= offset:
            return held.end > offset
        return bool(self._view_offsets(topic, held, offset, 1))

    async def check(self) -> None:
        """The file is locked: nobody else changes it. Raises `Unavailable` when it is closed."""
        self._find(next(iter(self._topics)), 0)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(offset of the first record kept, offset the next append will get)."""
        held = self._find(topic, partition)
        return held.first, held.end

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records before an offset, a bounded number at a time."""
        held = self._find(topic, partition)
        if offset > held.end:
            raise log_lost(topic, partition, offset, held.first, held.end)
        while held.first < offset:
            self._delete_before(held, min(offset, held.first + _EXPIRE_AT_ONCE))
            await asyncio.sleep(0)

    def _delete_before(self, held: HeldPartition, first: int) -> None:
        with self._file.transaction() as db:
            db.execute(sql.DELETE_BEFORE, (*held.place, first))
            db.execute(sql.SET_EXPIRED, (*held.place, first, held.timestamp))
        held.first = first

    async def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Remember a group's position: the next offset to read."""
        self._find(topic, partition)
        with self._file.transaction() as db:
            db.execute(sql.SET_POSITION, (group, topic, partition, self.epoch, offset))

    async def committed(self, group: str, topic: str, partition: int) -> Position | None:
        """The group's position and the epoch it was committed in, None when there is none."""
        self._find(topic, partition)
        found = self._file.rows(sql.POSITION, (group, topic, partition))
        return found[0] if found else None

    async def join(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Assigned
    ) -> None:
        """Own every partition of the topics from now on; their counts must be equal."""
        count = common_count(self._topics, topics)
        if group in self._members:
            reason = f"group {group} was joined already: leave it before joining again"
            raise Rejected("already_member", reason, field="group")
        owned = frozenset(range(count))
        self._members[group] = (owned, revoked)
        await assigned(owned)

    async def leave(self, group: str) -> None:
        """End the membership, if there is one; `revoked` is told first."""
        if group in self._members:
            owned, revoked = self._members[group]
            await revoked(owned)
            self._members.pop(group, None)

    async def member_rules(self, group: str) -> Sequence[int]:  # noqa: ARG002 - the protocol's
        """There are never others."""
        return ()

    async def expire(self, now: int) -> None:
        """Delete the records that at `now` (milliseconds) are older than their topic's retention;
        offsets go on where they were."""
        pending = [(self._topics[name], held) for (name, _), held in self._partitions.items()]
        while pending:
            pending = [(t, held) for t, held in pending if self._expire_some(t, held, now)]
            await asyncio.sleep(0)

    def _expire_some(self, topic: Topic, held: HeldPartition, now: int) -> bool:
        """Delete a bounded number of old records; True when there may be more."""
        if topic.retention_ms is None:
            held.expire_at = math.inf
            return False
        [(needed,)] = self._file.rows(sql.NEEDED, (held.end, topic.name, held.place[1]))
        until = min(held.first + _EXPIRE_AT_ONCE, needed)
        cutoff = now - topic.retention_ms
        young = self._file.rows(sql.FIRST_YOUNG, (*held.place, until, cutoff))
        first = young[0][0] if young else until
        if first > held.first:
            self._delete_before(held, first)
        more = not young and until < needed
        held.expire_at = now if more else now + _EXPIRE_EVERY_MS
        return more

    def _find(self, topic: str, partition: int) -> HeldPartition:
        held = self._partitions.get((topic, partition))
        if held is None:
            if self._file.is_open:
                declared(self._topics, topic, partition)
            raise self._file.closed()
        return held


def _resolve_views(topics: dict[str, Topic]) -> dict[str, Topic]:
    """The topics, each view with the partition count and retention of its base."""
    resolved: dict[str, Topic] = {}
    for name, topic in topics.items():
        base = topics.get(topic.view_of) if topic.view_of else topic
        if base is None or (base is not topic and base.view_of):
            raise ValueError(f"topic {name} is a view of {topic.view_of}, which is no plain topic")
        resolved[name] = msgspec.structs.replace(
            topic, partitions=base.partitions, retention_ms=base.retention_ms
        )
    return resolved
