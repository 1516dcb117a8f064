"""A topic written to a file, from its first record to the end as it was at the beginning."""

from collections.abc import AsyncIterator
from typing import BinaryIO

import msgspec

from agent_orchestration.backends.log import Log, LogLost, declared
from agent_orchestration.backends.log.record_lines import LineWriter, row_of
from agent_orchestration.backends.log.topic_file import Kept, TopicHead
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.histories import BATCH
from agent_orchestration.pipeline.log_copy import Told


class TopicExported(msgspec.Struct, frozen=True):
    """How many `records` of how many `partitions` were written; `epoch` is the log's."""

    topic: str
    partitions: int
    records: int
    epoch: int


async def export_topic(log: Log, topic: str, file: BinaryIO, told: Told) -> TopicExported:
    """Write all records kept of the topic. Raises `NotFound` where there is no such topic,
    `Unavailable` where records expire before they are read, what the log raises, and `OSError`."""
    count = declared(log.topics(), topic).partitions
    kept = [Kept(*await log.bounds(topic, number)) for number in range(count)]
    lines = LineWriter(file, TopicHead(topic=topic, epoch=log.epoch, partitions=kept))
    total = sum(one.next - one.first for one in kept)
    done = 0
    for number, its in enumerate(kept):
        async for records in _batches(log, topic, number, its):
            for record in records:
                lines.add({"partition": number, **row_of(record)})
            # By offset: of a view nobody knows how many records there are.
            told("exporting", done + records[-1].offset + 1 - its.first, total)
        done += its.next - its.first
    told("exporting", total, total)
    lines.end()
    return TopicExported(topic, count, lines.records, log.epoch)


async def _batches(
    log: Log, topic: str, partition: int, kept: Kept
) -> AsyncIterator[list[StoredRecord]]:
    offset = kept.first
    while offset < kept.next:
        try:
            found = await log.read(topic, partition, offset, BATCH)
        except LogLost as error:
            reason = f"{topic}/{partition}: records left the log before they were read: repeat this"
            raise Unavailable("records_expired", reason) from error
        records = [record for record in found if record.offset < kept.next]
        if not records:  # what follows is not in the view, or came later
            return
        yield records
        offset = records[-1].offset + 1
