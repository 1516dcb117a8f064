"""The archive of `events`: what the log may delete, in files that are never changed."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from agent_orchestration.backends.log import DAY_MS
from agent_orchestration.backends.log.record_lines import Head, decode, encode
from agent_orchestration.backends.store import Store
from agent_orchestration.config import Archive as ArchiveSettings
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

#: What is archived: the one topic that nothing else may delete from.
TOPIC = "events"
_NAME = re.compile(r".*/(\d+)-(\d+)\.jsonl\.gz")
#: So many files are in memory, for readers go through them a few records at a time.
MOST_OPEN = 4


class Segment(msgspec.Struct, frozen=True, order=True):
    """A file with the records from `first` on and before `next`."""

    first: int
    next: int
    name: str


class Archive:
    """Segments of the partitions of `events`, by epoch of the log, in a store.

    Several may archive at once: what overlaps is the same, and read once. `keep_ms`: what is in
    here may leave the log when it is older.
    """

    def __init__(self, store: Store, keep_ms: int = 7 * DAY_MS) -> None:
        self.store = store
        self.keep_ms = keep_ms
        self._segments: dict[tuple[int, int], list[Segment]] = {}
        self._opened: OrderedDict[str, list[StoredRecord]] = OrderedDict()

    async def segments(
        self, epoch: int, partition: int, *, anew: bool = False
    ) -> Sequence[Segment]:
        """The files of a partition in order, each with something more than those before it; looked
        for once, and again when told to. Raises `Unavailable`."""
        place = epoch, partition
        if anew or place not in self._segments:
            folder = f"{TOPIC}/{epoch}/{partition}"
            names = await self.store.names(folder)
            matches = [match for name in names if (match := _NAME.fullmatch(name))]
            found = [Segment(int(match[1]), int(match[2]), match[0]) for match in matches]
            chain: list[Segment] = []
            # Of those that begin together the longest; whatever has nothing new is left out.
            for one in sorted(found, key=lambda one: (one.first, -one.next)):
                if not chain or one.next > chain[-1].next:
                    chain.append(one)
            self._segments[place] = chain
        return self._segments[place]

    async def bounds(self, epoch: int, partition: int) -> tuple[int, int]:
        """(offset of the first record, offset after the last one) of those that follow each other
        without a gap, up to the end; zeros for an empty archive. Raises `Unavailable`."""
        chain = await self.segments(epoch, partition)
        if not chain:
            return 0, 0
        first = chain[-1].first
        for one in reversed(chain):
            if one.next < first:
                break
            first = min(first, one.first)
        return first, chain[-1].next

    async def put(self, epoch: int, partition: int, records: Sequence[StoredRecord]) -> Segment:
        """Keep these records, which follow each other; returns when they were read back and found
        whole. Raises `Unavailable`, `Corrupt`."""
        first, following = records[0].offset, records[-1].offset + 1
        name = f"{TOPIC}/{epoch}/{partition}/{first:020}-{following:020}.jsonl.gz"
        head = Head(TOPIC, partition, epoch, first, following)
        await self.store.put(name, await asyncio.to_thread(encode, head, records))
        _, kept = await asyncio.to_thread(decode, name, await self.store.get(name))
        if kept != list(records):
            reason = f"{name} is not what was written; check {self.store.url}"
            raise Corrupt("file_damaged", reason, file=name)
        segment = Segment(first, following, name)
        chain = [*await self.segments(epoch, partition), segment]
        self._segments[epoch, partition] = sorted(set(chain))
        return segment

    async def read(
        self, epoch: int, partition: int, offset: int, limit: int
    ) -> list[StoredRecord] | None:
        """At most `limit` records of one file from `offset` on; None where there is no such record.
        Raises `Unavailable`, `Corrupt`."""
        for segment in await self.segments(epoch, partition):
            if segment.first <= offset < segment.next:
                records = await self._records(segment)
                found = [one for one in records if one.offset >= offset]
                return found[:limit]
        return None

    async def _records(self, segment: Segment) -> list[StoredRecord]:
        records = self._opened.get(segment.name)
        if records is None:
            data = await self.store.get(segment.name)
            _, records = await asyncio.to_thread(decode, segment.name, data)
            self._opened[segment.name] = records
            while len(self._opened) > MOST_OPEN:
                self._opened.popitem(last=False)
        self._opened.move_to_end(segment.name)
        return records


def opened(settings: ArchiveSettings) -> Archive | None:
    """The archive that the settings name, if they name one."""
    if settings.url is None:
        return None
    return Archive(Store(settings.url), round(settings.keep_days * DAY_MS))
