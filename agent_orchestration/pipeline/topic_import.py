"""The records of a file put back into a topic: into the same partitions, in the same order, with
their keys, values and headers. Offsets and times are those that the log gives them now."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from agent_orchestration.backends.log import declared
from agent_orchestration.backends.log.import_target import ImportTarget
from agent_orchestration.backends.log.topic_file import TopicFile, TopicHead
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Rejected
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.log_copy import Told
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS

#: What is appended together.
_RECORDS, _BYTES = 1000, 1024 * 1024


class TopicImported(msgspec.Struct, frozen=True):
    """The topic has `records` of `partitions` now; `found` of them were there already, from an
    import that was interrupted."""

    topic: str
    partitions: int
    records: int
    found: int
    epoch: int


async def import_topic(
    log: WrappedLog,
    topic: str | None,
    file: TopicFile,
    quiet: Callable[[], Awaitable[None]],
    told: Told,
) -> TopicImported:
    """Put the records back into the topic that they are of, or another one. The log is opened for
    this and closed again; the whole file is checked before anything is appended. Repeating it goes
    on where it was interrupted.

    `quiet` raises where somebody else is at work. Raises `Corrupt` for a damaged file, `NotFound`
    for an unknown topic, `Rejected` for one that has other records or another number of partitions,
    and what the log raises.
    """
    target = log.inner
    if not isinstance(target, ImportTarget):
        raise TypeError(f"{type(target).__name__} takes no imports")
    head = file.head()
    topic = topic or head.topic
    await quiet()
    try:
        await target.start_import(topic)
        _refuse_unfit(log, topic, head)
        work = _Import(log, topic, file, told)
        await work.compare(head)
        if sum(work.found) < work.records:
            await target.begin_import(topic)
            await work.append()
        await quiet()
        await target.end_import(topic)
    finally:
        await log.stop()
    found = sum(work.found)
    return TopicImported(topic, len(head.partitions), work.records, found, log.epoch)


def _refuse_unfit(log: WrappedLog, topic: str, head: TopicHead) -> None:
    count = declared(log.topics(), topic).partitions
    if topic == COMMANDS:
        reason = "commands are not put back: those that were decided would be decided again"
        raise Rejected("commands_decided", f"{reason}; import {EVENTS}", field="topic")
    if topic == EVENTS != head.topic:
        reason = f"the file has records of {head.topic}, which are no history: choose another one"
        raise Rejected("other_topic", reason, field="file")
    if count != len(head.partitions):
        reason = (
            f"the file has {len(head.partitions)} partitions and topic {topic} has {count}, where"
            " keys would be looked for in other ones: make the topic with as many"
            " (kafka.num_partitions, kafka.topics)"
        )
        raise Rejected("partitions_differ", reason, field="topic", topic=topic)
    if topic == EVENTS and head.epoch > log.epoch:
        # Commands have to lie beyond every position that events bear, or they count as decided.
        reason = (
            f"the file is of epoch {head.epoch}, later than the log's {log.epoch}: set this"
            " machine's clock, make the topics anew, and repeat"
        )
        raise Rejected("log_epoch", reason, field="file")


class _Import:
    def __init__(self, log: WrappedLog, topic: str, file: TopicFile, told: Told) -> None:
        self._log = log
        self._topic = topic
        self._file = file
        self._told = told
        self.found: list[int] = []
        self.records = 0

    async def compare(self, head: TopicHead) -> None:
        """Read all of the file, and see that the topic has nothing but a beginning of it."""
        there = [self._there(number) for number in range(len(head.partitions))]
        self.found = [0 for _ in there]
        total = sum(one.next - one.first for one in head.partitions)
        for record in self._file.records():
            kept = await anext(there[record.partition], None)
            if kept is not None:
                if _content(kept) != _content(record):
                    raise self._not_empty(kept)
                self.found[record.partition] += 1
            self.records += 1
            if self.records % _RECORDS == 0:
                self._told("checking", self.records, total)
        for rest in there:
            if (kept := await anext(rest, None)) is not None:
                raise self._not_empty(kept)

    async def append(self) -> None:
        """Append what the topic lacks."""
        left, done = list(self.found), 0
        waiting: list[Record] = []
        partition = size = 0
        for record in self._file.records():
            done += 1
            if left[record.partition]:
                left[record.partition] -= 1
                continue
            if waiting and (
                record.partition != partition or len(waiting) == _RECORDS or size > _BYTES
            ):
                await self._log.append(self._topic, partition, waiting)
                self._told("importing", done, self.records)
                waiting, size = [], 0
            partition = record.partition
            waiting.append(_content(record))
            size += len(record.value)
        await self._log.append(self._topic, partition, waiting)
        self._told("importing", done, self.records)

    async def _there(self, partition: int) -> AsyncIterator[StoredRecord]:
        async for records in batches(self._log, self._topic, partition):
            for record in records:
                yield record

    def _not_empty(self, record: StoredRecord) -> Rejected:
        return Rejected(
            "topic_not_empty",
            f"topic {self._topic} has records that are not those of the file (the first at"
            f" {record.partition}/{record.offset}): delete it with Kafka's tools, run"
            " `agent-orchestration topics create`, and repeat this",
            field="topic",
            topic=self._topic,
        )


def _content(record: StoredRecord) -> Record:
    return Record(record.key, record.value, dict(record.headers))
