"""Archiving the events of one partition: what is in the archive and old leaves the log."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from agent_orchestration import measures
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.archive import Archive
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt, PlatformError, Rejected
from agent_orchestration.pipeline.moments import offset_after
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)
#: How often a partition is looked at.
EVERY_SECONDS = 60.0
#: What waits is written when it is so much, or has waited so long.
ENOUGH_RECORDS = 1000
LONGEST_MS = 5 * 60 * 1000
#: Whoever looks after the platform is told of what has waited so long.
LATE_MS = 60 * 60 * 1000
#: A segment has at most so many records, and about so many bytes before it is compressed.
MOST_RECORDS = 10_000
MOST_BYTES = 16 * 1024 * 1024


class Archived(msgspec.Struct, frozen=True):
    """How far a partition is: events before `archived` are in the archive, those before `first` in
    nothing else; `waiting` are not in it yet, the oldest since `waiting_ms`."""

    partition: int
    first: int
    archived: int
    waiting: int
    waiting_ms: int


class Archiver:
    """Archives one partition. Several may do so at once, which is only waste."""

    def __init__(self, services: Services, archive: Archive, partition: int) -> None:
        self._services = services
        self._archive = archive
        self._partition = partition
        log = services.log
        # Records are archived as they are kept: a value that is kept elsewhere stays there.
        self._log: Log = log.inner if isinstance(log, WrappedLog) else log

    async def run(self) -> None:
        """Archive for ever; what goes wrong is tried again."""
        try:
            while True:
                try:
                    await self.archive(all_of_it=False)
                    await self.delete_old()
                except PlatformError as error:
                    logger.warning("partition %d is not archived: %s", self._partition, error)
                await self._measure()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            for gauge in (measures.ARCHIVE_LAG_EVENTS, measures.ARCHIVE_LAG_SECONDS):
                gauge.drop(str(self._partition))

    async def _measure(self) -> None:
        with contextlib.suppress(PlatformError):  # what was known stands until more is
            found = await self.state()
            measures.ARCHIVE_LAG_EVENTS.set(found.waiting, str(self._partition))
            measures.ARCHIVE_LAG_SECONDS.set(found.waiting_ms / 1000, str(self._partition))

    async def archive(self, *, all_of_it: bool) -> int:
        """Write what waits, however little where `all_of_it`; how many records. Raises what log and
        archive raise, and `Corrupt` where the two are of different histories."""
        await self._archive.segments(self._log.epoch, self._partition, anew=True)
        await self._refuse_another_history()
        done = 0
        now = self._services.clock()
        while records := await self._next():
            old = now - records[0].timestamp >= LONGEST_MS
            if not all_of_it and not old and len(records) < ENOUGH_RECORDS:
                break
            await self._archive.put(self._log.epoch, self._partition, records)
            done += len(records)
        return done

    async def delete_old(self) -> int:
        """Delete from the log what is archived, old, in the graph and in the feeds; how many
        records. The last one stays, for an owner may have to read it again."""
        log, number = self._log, self._partition
        first, end = await log.bounds(EVENTS, number)
        until = min(await self._archived(first), end - 1, *await self._passed())
        if until <= first:
            return 0
        oldest = self._services.clock() - self._archive.keep_ms
        until = min(until, await offset_after(log, number, oldest))
        if until <= first:
            return 0
        await self._compare(first, until)
        await log.delete_before(EVENTS, number, until)
        return until - first

    async def state(self) -> Archived:
        """How far it is. Raises what log and archive raise."""
        first, end = await self._log.bounds(EVENTS, self._partition)
        archived = await self._archived(first)
        waiting = await self._log.read(EVENTS, self._partition, archived, 1)
        waited = self._services.clock() - waiting[0].timestamp if waiting else 0
        return Archived(self._partition, first, archived, end - archived, waited)

    async def _archived(self, first: int) -> int:
        """Up to where everything that the log has, from `first` on, is in the archive."""
        for segment in await self._archive.segments(self._log.epoch, self._partition):
            if segment.first <= first:
                first = max(first, segment.next)
        return first

    async def _refuse_another_history(self) -> None:
        """The log may have been replaced by an older copy of it, and gone on since."""
        first, end = await self._log.bounds(EVENTS, self._partition)
        archived = await self._archived(first)
        if archived > end:
            reason = f"the log ends at {end}, the archive at {archived}: bring the log back"
            raise Corrupt("other_history", f"{EVENTS}/{self._partition}: {reason}")
        if archived > first:
            await self._compare(archived - 1, archived)

    async def _compare(self, first: int, until: int) -> None:
        """See that the archive has these records of the log as they are."""
        log, number = self._log, self._partition
        while first < until:
            limit = min(ENOUGH_RECORDS, until - first)
            records = await log.read(EVENTS, number, first, limit)
            kept = await self._archive.read(log.epoch, number, first, len(records))
            if not kept or kept != records[: len(kept)]:
                reason = (
                    f"{EVENTS}/{number} at {first}: the archive has something else than the log"
                )
                raise Corrupt("other_history", f"{reason}; compare both with a backup")
            first = kept[-1].offset + 1

    async def _passed(self) -> list[int]:
        """Up to where the graph is, and the feeds where there are any."""
        graph, log = self._services.graph, self._log
        position = await graph.position(self._partition)
        found = [position]
        if any(topic.types and topic.view_of is None for topic in log.topics().values()):
            found.append(await graph.published(self._partition))
        return [one[1] if one is not None and one[0] == log.epoch else 0 for one in found]

    async def _next(self) -> list[StoredRecord]:
        """What comes after what is archived, as much as belongs in one segment."""
        first, _ = await self._log.bounds(EVENTS, self._partition)
        offset, size = await self._archived(first), 0
        found: list[StoredRecord] = []
        while len(found) < MOST_RECORDS and size < MOST_BYTES:
            records = await self._log.read(EVENTS, self._partition, offset, ENOUGH_RECORDS)
            if not records:
                break
            found += records
            size += sum(len(one.value) for one in records)
            offset = records[-1].offset + 1
        return found


async def archive(services: Services, *, only_look: bool) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.dispatch.Dispatcher` and `core.operations.Archive`. Raises
    `Rejected` where the settings name no archive, and what log and archive raise."""
    started = time.monotonic()
    if services.archive is None:
        reason = "archive.url: no place for an archive is named; set it, then repeat"
        raise Rejected("no_archive", reason, field="archive.url")
    numbers = range(services.log.topics()[EVENTS].partitions)
    archivers = [Archiver(services, services.archive, number) for number in numbers]
    written = deleted = 0
    for done, archiver in enumerate(archivers):
        if not only_look:
            written += await archiver.archive(all_of_it=True)
            deleted += await archiver.delete_old()
        yield {"phase": "archiving", "done": done + 1, "total": len(archivers)}
    states = [await archiver.state() for archiver in archivers]
    yield {
        "place": services.archive.store.url,
        "written": written,
        "deleted": deleted,
        "ok": all(one.waiting_ms < LATE_MS for one in states),
        "partitions": msgspec.to_builtins(states),
        "seconds": round(time.monotonic() - started, 3),
    }
