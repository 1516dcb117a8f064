"""Appending to partitions: idempotent, acknowledged by all in-sync replicas, limited in time."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka.codec import has_zstd
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NotEnoughReplicasError,
    OutOfOrderSequenceNumber,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownProducerId,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import OutcomeUnknown, Stamp
from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import CREATE, check
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt, PlatformError, Unavailable

logger = logging.getLogger(__name__)

#: Uncompressed bytes of one batch; a broker takes 1 MiB unless told otherwise.
BATCH_BYTES = 900_000
#: Smaller batches are not worth the time that compressing takes.
COMPRESS_BYTES = 1024
#: Milliseconds that a broker waits for its in-sync replicas.
REPLICATION_MS = 5000
_SEQUENCES = 2**31

#: The batch of this attempt was refused: it is nowhere. (A broker that stops being the leader while
#: it waits for its replicas says so after it wrote.)
_REFUSED = {
    error.errno
    for error in (
        LeaderNotAvailableError,
        MessageSizeTooLargeError,
        NotEnoughReplicasError,
        RecordListTooLargeError,
        TopicAuthorizationFailedError,
    )
}
#: The broker will take nothing more under this producer id.
_PRODUCER_LOST = {
    error.errno for error in (InvalidProducerEpoch, OutOfOrderSequenceNumber, UnknownProducerId)
}


class _Producer:
    """An idempotent producer of one partition: the broker drops what comes twice under the same
    sequence number. One that failed is never used again, or its next batch could be taken for the
    failed one."""

    __slots__ = ("epoch", "id", "sequence")

    def __init__(self, producer_id: int, epoch: int) -> None:
        self.id = producer_id
        self.epoch = epoch
        self.sequence = 0


class _Write:
    """One batch on its way. `in_doubt` once a broker may have it without having said so."""

    def __init__(
        self, connection: Connection, place: TopicPartition, producer: _Producer | None
    ) -> None:
        self._connection = connection
        self._place = place
        self._lane = ("append", *place)
        self.producer = producer
        self.in_doubt = False
        self._batch: tuple[bytes, int] | None = None

    async def attempt(self, records: Sequence[Record]) -> tuple[int, int, int]:
        """(records written, offset of the first, their time). Raises `KafkaError`."""
        node = self._connection.leader(self._place)
        if not await self._connection.client.ready(node, group=self._lane):
            raise NodeNotReadyError(node)
        producer = self.producer or await self._new_producer()
        batch, count = self._encoded(producer, records)
        code, offset, timestamp = await self._send(node, batch)
        if code in _PRODUCER_LOST and not self.in_doubt:
            logger.warning("%s/%d needs a new producer: error %d", *self._place, code)
            batch, count = self._encoded(await self._new_producer(), records)
            code, offset, timestamp = await self._send(node, batch)
        if code == DuplicateSequenceNumber.errno:
            # It is in the log since an earlier attempt, and nobody knows where.
            code, offset, self.in_doubt = 0, -1, True
        elif code and code not in _REFUSED:
            self.in_doubt = True
        check(code)
        return count, offset, timestamp

    def _encoded(self, producer: _Producer, records: Sequence[Record]) -> tuple[bytes, int]:
        """What is sent again must be the same batch, to the byte."""
        if self._batch is None or producer is not self.producer:
            self.producer, self._batch = producer, _batch(producer, records)
        return self._batch

    async def _send(self, node: int, batch: bytes) -> tuple[int, int, int]:
        topic, partition = self._place
        request = ProduceRequest(
            required_acks=-1,
            timeout=REPLICATION_MS,
            topics=[(topic, [(partition, batch)])],
            transactional_id=None,
        )
        was_in_doubt, self.in_doubt = self.in_doubt, True
        answer = await self._connection.ask(node, request, self._lane)
        self.in_doubt = was_in_doubt
        [(_, [(_, code, offset, timestamp, *_)])] = answer.topics
        return code, offset, timestamp

    async def _new_producer(self) -> _Producer:
        no_transactions: Any = None
        request = InitProducerIdRequest(no_transactions, -1)
        answer = await self._connection.ask(self._connection.anyone(), request)
        check(answer.error_code)
        return _Producer(answer.producer_id, answer.producer_epoch)


class Appender:
    """Appends to partitions, to each in the order in which it is asked to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._producers: dict[TopicPartition, _Producer] = {}
        self._turns: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def append(self, place: TopicPartition, records: Sequence[Record]) -> list[Stamp]:
        """Append all records in order, as one batch, which Kafka writes whole or not at all.

        More than `BATCH_BYTES` are several batches, each sent after the one before was
        acknowledged. So what is in the log is always a beginning of `records`; if it is neither
        nothing nor all of them, `OutcomeUnknown` says so.
        """
        doing = f"appending to {place.topic}/{place.partition}"
        turn, until = self._turns[place], self._connection.deadline()
        try:
            async with asyncio.timeout_at(until):
                await turn.acquire()
        except TimeoutError:
            reason = f"{doing}: those before it take too long; nothing was written, repeat"
            raise Unavailable("log_unavailable", reason) from None
        stamps: list[Stamp] = []
        try:
            while len(stamps) < len(records):
                stamps += await self._append_batch(place, records[len(stamps) :], doing, until)
        except Unavailable as error:
            if stamps and not isinstance(error, OutcomeUnknown):
                raise _unknown(f"{doing}: only {len(stamps)} of {len(records)} records") from error
            raise
        finally:
            turn.release()
        return stamps

    async def _append_batch(
        self, place: TopicPartition, records: Sequence[Record], doing: str, until: float
    ) -> list[Stamp]:
        # Taken out: whatever happens, only an acknowledgement brings it back.
        write = _Write(self._connection, place, self._producers.pop(place, None))
        try:
            written = await self._connection.retrying(lambda: write.attempt(records), doing, until)
        except PlatformError as error:
            if write.in_doubt:
                raise _unknown(error.reason) from error
            raise
        count, offset, timestamp = written
        if offset < 0:
            raise _unknown(f"{doing}: it was written, but the broker does not say where")
        if timestamp < 0:
            reason = (
                f"{doing}: the broker keeps the senders' time instead of its own; set"
                f" message.timestamp.type=LogAppendTime on {place.topic} ({CREATE} does for new"
                " topics)"
            )
            raise Corrupt("log_time", reason, topic=place.topic)
        producer = write.producer
        assert producer is not None
        producer.sequence = (producer.sequence + count) % _SEQUENCES
        self._producers[place] = producer
        return [Stamp(offset + n, timestamp) for n in range(count)]


def _batch(producer: _Producer, records: Sequence[Record]) -> tuple[bytes, int]:
    """As many of the records as fit into a batch, and their number: one at least."""
    size = sum(len(r.value) for r in records)
    codec = DefaultRecordBatch.CODEC_NONE
    if size + 200 * len(records) > COMPRESS_BYTES and has_zstd():
        codec = DefaultRecordBatch.CODEC_ZSTD
    builder = DefaultRecordBatchBuilder(
        2, codec, 0, producer.id, producer.epoch, producer.sequence, BATCH_BYTES
    )
    count = 0
    for record in records:
        headers: list[tuple[str, bytes | None]] = [
            (name, text.encode()) for name, text in record.headers.items()
        ]
        if builder.append(count, None, record.key, record.value, headers) is None:
            break
        count += 1
    return bytes(builder.build()), count


def _unknown(why: str) -> OutcomeUnknown:
    reason = f"{why}; whether the records were kept is unknown, repeating is harmless"
    return OutcomeUnknown("log_outcome_unknown", reason)
