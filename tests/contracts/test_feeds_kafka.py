"""Feeds on a real broker: what a consumer of another system finds there."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

import pytest

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.backends.blobs import BlobStore
from agent_orchestration.backends.log import Log, Stamp
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS, topics
from tests.contracts.kafka_backends import KafkaBackends
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.integration.watched import Gate
from tests.integration.world import until_async
from tests.services import kafka

FEEDS = sorted(set(REGISTRY.feeds.values()))


class GatedLog(ClaimCheckLog):
    """Appends to feeds pass the gate."""

    def __init__(self, log: Log, blobs: BlobStore) -> None:
        super().__init__(log, blobs)
        self.gate = Gate()

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        if topic in FEEDS:
            await self.gate.passage()
        return await super().append(topic, partition, records)


@pytest.fixture
async def cluster() -> AsyncIterator[KafkaTopics]:
    async with own_topics(kafka.bootstrap_servers()) as found:
        yield found


@asynccontextmanager
async def running(cluster: KafkaTopics, folder: Path) -> AsyncGenerator[tuple[Platform, GatedLog]]:
    backends = KafkaBackends(await cluster.log(topics(REGISTRY)), folder, GatedLog)
    platform = Platform(backends)
    try:
        await platform.start()
        yield platform, backends.log
    finally:
        backends.log.gate.open()
        await platform.stop()


async def records(log: GatedLog, topic: str) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    for number in range(PARTITIONS):
        offset = 0
        while more := await log.read(topic, number, offset, 1000):
            found += more
            offset = more[-1].offset + 1
    return found


async def published(log: GatedLog) -> list[StoredRecord]:
    """Everything in the feeds, once every event is there."""
    found: list[StoredRecord] = []

    async def all_there() -> bool:
        found[:] = [one for feed in FEEDS for one in await records(log, feed)]
        expected = {record.headers["ce_id"] for record in await records(log, EVENTS)}
        return expected <= {record.headers["ce_id"] for record in found}

    await until_async(all_there, "the events in the feeds")
    return found


async def task(platform: Platform, tenant: str, name: str) -> None:
    await platform.call("create_task", {"id": name, "title": name}, Caller(tenant=tenant))
    await platform.call("cancel_task", {"task_id": name}, Caller(tenant=tenant))


async def test_feeds_have_every_event_and_a_restart_repeats_rather_than_loses(
    tmp_path: Path, cluster: KafkaTopics
) -> None:
    async with running(cluster, tmp_path) as (platform, log):
        for tenant in ("default", "acme"):
            await task(platform, tenant, "a")
            await task(platform, tenant, "b")
        first = await published(log)
        log.gate.close()
        await task(platform, "acme", "c")  # decided and folded, but not published
        assert len(await records(log, "task_events")) == len(first)
    async with running(cluster, tmp_path) as (platform, log):
        found = await published(log)
        originals = {r.headers["ce_id"]: r for r in await records(log, EVENTS)}
        assert {r.headers["ce_id"] for r in found} == set(originals)
        assert len(found) >= len(originals) == 10
        seen: dict[bytes, list[int]] = {}
        for record in found:
            original = originals[record.headers["ce_id"]]
            assert record.topic == REGISTRY.feeds[record.headers["ce_type"]]
            assert (record.value, record.headers) == (original.value, original.headers)
            assert record.partition == crc32(record.key) % PARTITIONS
            seq = int(record.headers["ce_seq"])
            if seq not in seen.setdefault(record.key, []):
                seen[record.key].append(seq)
        assert all(seqs == sorted(seqs) and len(seqs) == 2 for seqs in seen.values())
        assert sorted(seen) == [b"a", b"acme/a", b"acme/b", b"acme/c", b"b"]
