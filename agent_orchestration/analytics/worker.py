"""The process that counts: the feeds of Kafka -> windows, on Faust."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_orchestration import measures
from agent_orchestration.analytics.acknowledging import Acknowledgements
from agent_orchestration.analytics.commits import Commits
from agent_orchestration.analytics.counting import Counting
from agent_orchestration.analytics.faust_app import GROUP, make_app
from agent_orchestration.analytics.gauges import tell
from agent_orchestration.analytics.questions import answered
from agent_orchestration.analytics.recounting import recounted
from agent_orchestration.analytics.rows import changes_of, histories_in
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.analytics import WindowsAsked
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import PlatformError, Rejected, Unavailable
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.topology import SYSTEM_EVENTS

logger = logging.getLogger(__name__)
BATCH = 1000
TOGETHER_SECONDS = 0.25
"""What comes within so long is one commit."""
TELL_SECONDS = 5.0
MOST_HELD = 500_000
"""Events that wait for one before them: more of them are no disorder but a loss."""


class Worker:
    """Counts what is in the feeds until it is stopped; `core.analytics.Analytics`.

    A record is acknowledged when what it changed is in the table's changelog, and everything that
    came before it in its partition is, too. One that cannot be counted ends the process: it is not
    acknowledged, and the next process meets it again.
    """

    def __init__(self, settings: Kafka, log: ClaimCheckLog, registry: Registry) -> None:
        self._settings = settings
        self._log = log
        self._registry = registry
        self._counting = Counting(registry)
        self._unacknowledged = Acknowledgements()
        self._failed = asyncio.Event()
        self._error: BaseException | None = None
        self._turn = asyncio.Lock()
        self._rebuild = False
        self.ready = asyncio.Event()

    async def run(self, *, rebuild: bool, replicas: int) -> None:
        """Work until cancelled; `rebuild` counts the log from its beginning first, as happens where
        nothing was counted yet. Raises what went wrong."""
        self._rebuild = rebuild
        feeds = [*{self._registry.feeds[name] for name in self._registry.events}, SYSTEM_EVENTS]
        if not rebuild:
            await refuse_lost(self._log, feeds)
        with tempfile.TemporaryDirectory() as folder:
            app, topic, table = make_app(
                self._settings, replicas=replicas, folder=Path(folder), feeds=sorted(feeds)
            )
            commits = Commits(table, table.written)

            @app.on_partitions_revoked.connect
            async def revoked(*_args: Any, **_more: Any) -> None:
                self.ready.clear()

            @table.on_recover
            async def recovered() -> None:
                await self._guarded(self._load(commits))

            @app.agent(topic, name="counting")
            async def count(stream: Any) -> None:
                async for events in stream.noack_take(BATCH, within=TOGETHER_SECONDS):
                    await self.ready.wait()
                    await self._guarded(self._count(commits, events))

            del revoked, recovered, count
            await self._run(app)

    async def _run(self, app: Any) -> None:
        telling = asyncio.create_task(self._tell())
        starting = asyncio.create_task(app.start())
        try:
            await app.wait_first(asyncio.shield(starting), self._failed.wait())
            await app.wait_first(self._failed.wait())
        finally:
            telling.cancel()
            starting.cancel()
            await app.stop()
            await asyncio.gather(telling, starting, return_exceptions=True)
        raise explained(self._error or app.crash_reason)

    async def windows(self, asked: WindowsAsked) -> dict[str, Any]:
        """See `core.analytics.Analytics`."""
        if not self.ready.is_set():
            raise Unavailable("still_counting", "the windows are still being loaded: ask again")
        return answered(self._counting.histories.get(asked.tenant), asked)

    async def _guarded(self, work: Any) -> None:
        """Where it fails, the process ends, and nothing more happens until then."""
        try:
            async with self._turn:
                await work
        except Exception as error:
            self._error = self._error or error
            self._failed.set()
            await asyncio.Event().wait()

    async def _load(self, commits: Commits) -> None:
        """Go on from the last commit."""
        self._unacknowledged.clear()
        rows = await commits.load()
        if rows is None or self._rebuild:
            logger.info("the log is counted from its beginning")
            self._counting = await recounted(self._log, self._registry)
            changes: dict[str, bytes | None] = dict.fromkeys(commits.keys())
            for history in self._counting.histories.values():
                changes |= changes_of(history)
            await commits.commit(changes)
            self._rebuild = False
        else:
            self._counting = Counting(self._registry, histories_in(self._registry, rows))
        self.ready.set()

    async def _count(self, commits: Commits, events: Sequence[Any]) -> None:
        for event in events:
            record = await self._record(event.message, event.headers)
            place = record.topic, record.partition
            self._unacknowledged.add(place, event, *self._counting.take(record))
        changes: dict[str, bytes | None] = {}
        for tenant in sorted(self._counting.changed):
            changes |= changes_of(self._counting.histories[tenant])
        if changes:
            await commits.commit(changes)
            self._counting.settle()
        self._unacknowledged.release(self._counting.histories)
        self._refuse_losses()

    async def _record(self, message: Any, headers: dict[str, bytes]) -> StoredRecord:
        """The record as the log gives it."""
        record = StoredRecord(
            message.topic,
            message.partition,
            message.offset,
            round(message.timestamp * 1000),
            message.key or b"",
            message.value or b"",
            {name: value.decode() for name, value in headers.items()},
        )
        return await self._log.whole(record)

    def _refuse_losses(self) -> None:
        held = self._counting.held
        if held > MOST_HELD:
            tenant, history = max(
                self._counting.histories.items(), key=lambda item: len(item[1].held)
            )
            reason = f"the feeds lack event {history.state.seq + 1} of tenant {tenant}"
            raise Rejected("feeds_incomplete", f"{reason}: {REMEDY}", tenant=tenant)

    async def _tell(self) -> None:
        """Let Prometheus know."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            tell(self._counting.histories, round(time.time() * 1000))
            measures.ANALYTICS_HELD.set(self._counting.held)


REMEDY = "count the log again with `agent-orchestration analytics --rebuild`"


async def refuse_lost(log: Log, feeds: Sequence[str]) -> None:
    """Raise `Rejected` where a feed no longer has what is to be read next."""
    for feed in feeds:
        for partition in range(log.topics()[feed].partitions):
            first, _ = await log.bounds(feed, partition)
            held = await log.committed(GROUP, feed, partition)
            if held is not None and held[1] < first:
                reason = f"{feed}/{partition} has no record before {first}, and {held[1]} is next"
                raise Rejected("feeds_incomplete", f"{reason}: {REMEDY}", topic=feed)


def explained(error: BaseException) -> PlatformError:
    """What a user is told of it."""
    if isinstance(error, PlatformError):
        return error
    return Unavailable(
        "analytics_stopped", f"the analytics stopped: {type(error).__name__}: {error}"
    )
