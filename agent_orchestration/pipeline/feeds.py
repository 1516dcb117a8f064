"""The feeds of one partition: events that are in the graph -> feed topics, for other systems."""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable

from agent_orchestration.backends.log import LogLost
from agent_orchestration.core.entities import node_id
from agent_orchestration.core.envelope import EventEnvelope, Record, StoredRecord
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import RETRY_SECONDS, Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)
BATCH = 500
TOGETHER_SECONDS = 0.25
"""What comes within so long after a publication is published together: a few records cost the
broker, and this process, as much as one."""
Place = tuple[str, int]
"""(topic, partition)."""


class Publisher:
    """Publishes a partition's events once the graph has them: each at least once, those of one
    entity in order, if the repeats are left out.

    A feed's record is that of `events` (headers, id, body) under another key: the id of the node of
    the entity that the event is mainly about, which also says which partition. A value that the log
    keeps elsewhere is kept once, and both records name it.

    What goes wrong here stops nothing else: it is tried again for as long as it takes. The position
    goes into the graph with the projector's next transaction, so after a restart some events are
    published again. It has nothing to do on a log whose feeds are views.
    """

    def __init__(self, services: Services, projector: Projector, partition: int) -> None:
        self._log = services.log
        self._graph = services.graph
        self._registry = services.registry
        self._projector = projector
        self._partition = partition
        self._feeds = {
            name: topic
            for topic in services.log.topics().values()
            if topic.view_of is None
            for name in topic.types
        }
        self._next = 0

    async def run(self) -> None:
        """Publish for ever; returns at once where there are no feeds to publish to."""
        if not self._feeds:
            return
        await self._patiently(self._seek)
        now = asyncio.get_running_loop().time
        following = now()
        while True:
            await self._projector.passed(self._next + 1)
            if self._projector.position[1] - self._next < BATCH:
                await asyncio.sleep(following - now())
            following = now() + TOGETHER_SECONDS
            await self._patiently(self._publish)

    async def _seek(self) -> None:
        """Go on where the graph says; without that, at the first event there is."""
        stored = await self._graph.published(self._partition)
        begin, _ = await self._log.bounds(EVENTS, self._partition)
        epoch, offset = stored or (self._log.epoch, 0)
        if epoch == self._log.epoch and offset >= begin:
            self._next = offset
            return
        self._skip_to(begin)

    def _skip_to(self, begin: int) -> None:
        """What came before is not kept any more."""
        if begin > 0:
            logger.warning(
                "the feeds of partition %d begin at event record %d: those before it are not kept",
                self._partition,
                begin,
            )
        self._next = begin

    async def _publish(self) -> None:
        """One batch: one append for each partition of a feed that gets something."""
        end = self._projector.position[1]
        limit = min(BATCH, end - self._next)
        try:
            records = await self._log.read(EVENTS, self._partition, self._next, limit)
        except LogLost:
            begin, _ = await self._log.bounds(EVENTS, self._partition)
            if begin <= self._next:
                raise
            self._skip_to(begin)
            return
        if not records:
            return  # the log is shorter than it was; whoever folds says so
        batches: defaultdict[Place, list[Record]] = defaultdict(list)
        for record in records:
            if (found := self._addressed(record)) is not None:
                place, copy = found
                batches[place].append(copy)
        async with asyncio.TaskGroup() as group:
            for place, copies in batches.items():
                group.create_task(self._append(place, copies))
        self._next = records[-1].offset + 1
        self._projector.published = (self._log.epoch, self._next)

    def _addressed(self, record: StoredRecord) -> tuple[Place, Record] | None:
        """Where an event goes, and its record there; None for what is a dead letter."""
        try:
            envelope = EventEnvelope.from_record(record)
        except ValueError:
            return None
        event = self._registry.decode_event(envelope.type, envelope.version, envelope.body)
        about = event.about()
        key = envelope.tenant if about is None else node_id(envelope.tenant, about)
        feed = self._feeds[envelope.type]
        place = feed.name, partition_of(key, feed.partitions)
        return place, Record(key.encode(), record.value, dict(record.headers))

    async def _append(self, place: Place, records: list[Record]) -> None:
        await self._patiently(lambda: self._log.append(*place, records))

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Try until it succeeds."""
        for tries in itertools.count():
            try:
                await work()
                return
            except PlatformError as error:
                pause = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
                logger.warning(
                    "the feeds of partition %d wait %.1f s: %s", self._partition, pause, error
                )
                await asyncio.sleep(pause)
