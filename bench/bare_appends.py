"""The records of lifecycles appended to Kafka by a bare idempotent producer, nothing else."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS

Lifecycle = list[StoredRecord]
_PAGE = 5000


class Appended(msgspec.Struct, frozen=True):
    """Lifecycles a second whose records were appended, and the median of how long the records of
    one took, in milliseconds."""

    rate: float
    p50: float


async def lifecycles_in(log: Log, count: int) -> list[Lifecycle]:
    """The records of so many lifecycles that the log holds: four commands and four events each."""
    commands = await _newest(log, COMMANDS, 4 * count)
    events = await _newest(log, EVENTS, 4 * count)
    mixed = [record for pair in zip(commands, events, strict=True) for record in pair]
    return [mixed[start : start + 8] for start in range(0, len(mixed), 8)]


async def _newest(log: Log, topic: str, count: int) -> list[StoredRecord]:
    """As many from each partition as its share."""
    found: list[StoredRecord] = []
    for partition in range(log.topics()[topic].partitions):
        offset, end = await log.bounds(topic, partition)
        while offset < end:
            page = await log.read(topic, partition, offset, _PAGE)
            found += page
            offset = page[-1].offset + 1
    found.sort(key=lambda record: record.timestamp)
    return found[-count:]


class BareAppends:
    """Topics of the same partition count beside the platform's, and a producer with its defaults
    but idempotent. `start` and `stop` it."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._partitions = partitions
        self._producer: Any = None

    async def start(self) -> None:
        """Make the topics and connect."""
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        names = (self._prefix + topic for topic in (COMMANDS, EVENTS))
        await admin.create_topics([NewTopic(name, self._partitions, 1) for name in names])
        await admin.close()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True, acks="all"
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def one_after_the_other(self, stored: Sequence[Lifecycle], clients: int) -> Appended:
        """Clients that wait for the acknowledgement of each record."""
        waiting, took = iter(stored), list[float]()
        began = time.perf_counter()
        await asyncio.gather(*(self._client(waiting, took) for _ in range(clients)))
        rate = len(stored) / (time.perf_counter() - began)
        return Appended(rate, 1000 * statistics.median(took))

    async def _client(self, waiting: Iterator[Lifecycle], took: list[float]) -> None:
        for lifecycle in waiting:
            began = time.perf_counter()
            for record in lifecycle:
                await (await self._send(record))
            took.append(time.perf_counter() - began)

    async def all_at_once(self, stored: Sequence[Lifecycle]) -> float:
        """As many as the producer takes, waiting for all of them at the end; lifecycles/s."""
        began = time.perf_counter()
        sent = [await self._send(record) for lifecycle in stored for record in lifecycle]
        await asyncio.gather(*sent)
        return len(stored) / (time.perf_counter() - began)

    async def _send(self, record: StoredRecord) -> asyncio.Future[Any]:
        return await self._producer.send(
            self._prefix + record.topic,
            record.value,
            record.key,
            record.partition,
            headers=[(name, text.encode()) for name, text in record.headers.items()],
        )
