"""Reading partitions by position, and waiting at their ends.

Nothing is held open for a reader: each read is a fetch at its offset, which costs one round trip
and tells for certain whether that is the end. What a fetch brings beyond the limit serves the next
read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Any

from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import LogLost, log_lost
from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import check
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

#: Compressed bytes that one fetch brings, but always one batch.
FETCH_BYTES = 1024 * 1024
#: How long a broker holds a fetch at the end of a partition; an append answers it at once.
POLL_MS = 1000
#: How many may be at different places of a partition without fetching in turns for each other.
READERS = 2
_EARLIEST, _LATEST = -2, -1
_READ_UNCOMMITTED = 0


class _Chunk:
    """What a fetch brought, taken piece by piece. `end`: where the partition ended then."""

    def __init__(self, topic: str, place: TopicPartition, offset: int, end: int, data: Any) -> None:
        self.next = offset
        self.end = end
        self._records = _records(topic, place, offset, data)

    def take(self, limit: int) -> list[StoredRecord]:
        found = list(islice(self._records, limit))
        if found:
            self.next = found[-1].offset + 1
        return found


class _Tail:
    """The end of a partition, and who waits there for which offset. One fetch serves them all."""

    def __init__(self) -> None:
        self.end = -1
        self.waiters: dict[asyncio.Future[bool], int] = {}
        self.task: asyncio.Task[None] | None = None

    def reached(self, end: int) -> None:
        self.end = end
        for future, offset in self.waiters.items():
            if end > offset and not future.done():
                future.set_result(True)

    def stopped(self, error: Exception | None) -> None:
        for future in self.waiters:
            if not future.done():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(False)


class Reader:
    """Reads partitions. `topics` are the names that records are given, by those on the cluster."""

    def __init__(self, connection: Connection, topics: dict[str, str]) -> None:
        self._connection = connection
        self._topics = topics
        #: What is left of fetches, by partition, the one used last first.
        self._chunks: defaultdict[TopicPartition, list[_Chunk]] = defaultdict(list)
        self._tails: dict[TopicPartition, _Tail] = {}

    async def stop(self) -> None:
        """End all waits with False."""
        tasks = [tail.task for tail in self._tails.values() if tail.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tail in self._tails.values():
            tail.stopped(None)
        self._tails.clear()
        self._chunks.clear()

    async def read(self, place: TopicPartition, offset: int, limit: int) -> list[StoredRecord]:
        """At most `limit` records from `offset` on, one at least unless that is the end."""
        chunk = next((one for one in self._chunks[place] if one.next == offset), None)
        if chunk is not None:
            self._chunks[place].remove(chunk)
            if found := chunk.take(limit):
                self._keep(place, chunk)
                return found
        chunk = await self._fetch(place, offset, 0, ("read", *place))
        found = chunk.take(limit)
        tail = self._tails.get(place)
        if tail is not None and chunk.end > tail.end:
            tail.reached(chunk.end)
        if found:
            self._keep(place, chunk)
        return found

    async def wait(self, place: TopicPartition, offset: int, seconds: float) -> bool:
        """Wait until there is a record at `offset` or beyond."""
        tail = self._tails.setdefault(place, _Tail())
        if tail.end > offset:
            return True
        if seconds <= 0:
            return (await self.bounds(place))[1] > offset
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        tail.waiters[future] = offset
        if tail.task is None or tail.task.done():
            name = f"tail of {place.topic}/{place.partition}"
            tail.task = asyncio.create_task(self._follow(place, tail), name=name)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return False
        finally:
            del tail.waiters[future]

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """(offset of the first record kept, offset of the next): what all replicas have."""
        first, end = await asyncio.gather(
            self._offset(place, _EARLIEST), self._offset(place, _LATEST)
        )
        tail = self._tails.get(place)
        if tail is not None and end > tail.end:
            tail.reached(end)
        return first, end

    async def _follow(self, place: TopicPartition, tail: _Tail) -> None:
        """Wake the waiters as the partition grows, until there are none."""
        lane = ("tail", *place)
        try:
            while tail.waiters:
                if tail.end < 0:
                    tail.reached(await self._offset(place, _LATEST))
                    continue
                offset = tail.end
                try:
                    chunk = await self._fetch(place, offset, POLL_MS, lane)
                except LogLost as error:
                    if offset >= error.details["first"]:
                        raise
                    tail.end = -1  # nobody waited for long, and the records have expired since
                    continue
                if chunk.end > tail.end:
                    self._keep(place, chunk)
                    tail.reached(chunk.end)
        except Exception as error:
            # To those who wait; whoever comes later meets it again.
            tail.stopped(error)

    def _keep(self, place: TopicPartition, chunk: _Chunk) -> None:
        """For the next read from there; what was used longest ago makes room."""
        others = [one for one in self._chunks[place] if one.next != chunk.next]
        self._chunks[place] = [chunk, *others][:READERS]

    async def _offset(self, place: TopicPartition, which: int) -> int:
        topic, partition = place

        async def ask() -> int:
            request = OffsetRequest(-1, _READ_UNCOMMITTED, [(topic, [(partition, which)])])
            lane = ("read", *place)
            answer = await self._connection.ask(self._connection.leader(place), request, lane)
            [(_, [(_, code, _, offset)])] = answer.topics
            check(code)
            return offset

        return await self._connection.retrying(ask, f"asking for the end of {topic}/{partition}")

    async def _fetch(
        self, place: TopicPartition, offset: int, wait_ms: int, lane: Hashable
    ) -> _Chunk:
        topic, partition = place

        async def ask() -> _Chunk:
            places = [(topic, [(partition, offset, FETCH_BYTES)])]
            request = FetchRequest(wait_ms, 1, FETCH_BYTES, _READ_UNCOMMITTED, places)
            answer = await self._connection.ask(self._connection.leader(place), request, lane)
            [(_, [(_, code, end, *_, data)])] = answer.topics
            if code == OffsetOutOfRangeError.errno:
                first, end = await self.bounds(place)
                if not first <= offset <= end:
                    raise log_lost(self._topics[topic], partition, offset, first, end)
                # A new leader has not heard yet how far its replicas are.
                raise LeaderNotAvailableError(place)
            check(code)
            return _Chunk(self._topics[topic], place, offset, end, data)

        return await self._connection.retrying(ask, f"reading {topic}/{partition} at {offset}")


def _records(topic: str, place: TopicPartition, offset: int, data: Any) -> Iterator[StoredRecord]:
    batches = MemoryRecords(data)
    while batches.has_next():
        batch: Any = batches.next_batch()
        if not batch.validate_crc():
            reason = (
                f"{topic}/{place.partition}: the batch at {batch.base_offset} is damaged:"
                " restore it from a replica or a backup"
            )
            raise Corrupt("log_unreadable", reason, topic=topic, partition=place.partition)
        for record in batch:
            if record.offset >= offset:
                yield StoredRecord(
                    topic,
                    place.partition,
                    record.offset,
                    record.timestamp,
                    record.key or b"",
                    record.value or b"",
                    {name: (text or b"").decode(errors="replace") for name, text in record.headers},
                )
