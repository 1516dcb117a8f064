"""The process that counts, on a real broker: killed at any moment, its table is what counting the
log gives.

`AO_ANALYTICS_EVENTS` says how many events there are (by hand: 200000), `AO_ANALYTICS_KILLS` how
often the process is killed, `AO_ANALYTICS_SEED` what happens when.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agent_orchestration.analytics.commits import Commits
from agent_orchestration.analytics.counting import Counting
from agent_orchestration.analytics.faust_app import GROUP
from agent_orchestration.analytics.recounting import recounted
from agent_orchestration.analytics.rows import histories_in
from agent_orchestration.analytics.serving import RemoteAnalytics
from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.cli.failure import TERMINATED
from agent_orchestration.core.analytics import WindowsAsked
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.pipeline.topology import SYSTEM_EVENTS, topics
from tests.contracts.analytics_load import Publications, Tenant, shown
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.e2e.program import started
from tests.services import kafka
from tests.unit.examples import claim, complete, task

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(1800)]
EVENTS = int(os.environ.get("AO_ANALYTICS_EVENTS", "2000"))
KILLS = int(os.environ.get("AO_ANALYTICS_KILLS", "3"))
SEED = int(os.environ.get("AO_ANALYTICS_SEED", "1"))
TENANTS = ("default", "acme", "zenith")
SLICE = 100 + EVENTS // 200
"""So many events of a tenant are published together."""
READ = {*REGISTRY.feeds.values(), SYSTEM_EVENTS}
TABLE = "analytics-windows-changelog"
TOKEN = "only-for-tests-0123456789"
LOOK_SECONDS = 0.1
PATIENCE = 60.0


class Installation:
    """Topics, blobs, and a settings file that names them."""

    def __init__(self, cluster: KafkaTopics, raw: KafkaLog, folder: Path) -> None:
        self.cluster = cluster
        self.raw = raw
        self.folder = folder
        self.blobs = folder / "blobs"
        self.log = ClaimCheckLog(raw, FolderBlobs(self.blobs))
        servers = cluster.settings.bootstrap_servers
        told = {
            "backend": "kafka-neo4j",
            "blobs": str(self.blobs),
            "server": {"token": TOKEN},
            "kafka": {
                "bootstrap_servers": servers,
                "prefix": cluster.settings.prefix,
                "session_timeout_ms": 6000,
            },
        }
        (folder / "config.yaml").write_text(json.dumps(told), "utf-8")

    @contextmanager
    def counting(self, *options: str) -> Generator[tuple[subprocess.Popen[str], RemoteAnalytics]]:
        """A process that counts, and who asks it."""
        words = ("analytics", "--port", "0", "--json", *options)
        with (
            (self.folder / "log.txt").open("a") as said,
            started(self.folder, *words, stderr=said) as process,
        ):
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, RemoteAnalytics(json.loads(line)["url"] if line else None, TOKEN)

    async def unread(self) -> int:
        """How many records the next process would get."""
        found = 0
        for topic in self.log.topics().values():
            for partition in range(topic.partitions if topic.name in READ else 0):
                first, end = await self.log.bounds(topic.name, partition)
                held = await self.log.committed(GROUP, topic.name, partition)
                found += end - (first if held is None else held[1])
        return found

    async def table(self) -> Counting:
        """What is in the table, as its next reader finds it."""
        place = TopicPartition(self.cluster.settings.prefix + TABLE, 0)
        servers = self.cluster.settings.bootstrap_servers
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=servers)
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            [end] = (await consumer.end_offsets([place])).values()
            rows: dict[bytes, bytes] = {}
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(timeout_ms=1000)).get(place, []):
                    if record.value is None:
                        rows.pop(record.key, None)
                    else:
                        rows[record.key] = record.value
        finally:
            await consumer.stop()
        kept = await Commits(rows, _nothing).load()
        assert kept is not None
        return Counting(REGISTRY, histories_in(REGISTRY, kept))


async def _nothing() -> None:
    """The table is nobody's."""


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    async with own_topics(kafka.bootstrap_servers()) as cluster:
        raw = await cluster.log(topics(REGISTRY))
        await raw.start()
        try:
            yield Installation(cluster, raw, tmp_path)
        finally:
            await raw.stop()
            await cluster.delete(cluster.settings.prefix + TABLE)


async def counted(asking: RemoteAnalytics, tenant: str, wanted: int) -> None:
    """Wait until so many of the tenant's events are counted."""
    async with asyncio.timeout(PATIENCE + EVENTS / 500):
        while True:
            try:
                answer = await asking.windows(WindowsAsked(tenant, "day"))
            except Unavailable:
                answer = {"seq": -1}
            if answer["seq"] >= wanted:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def publish(
    publications: Publications, tenants: Sequence[Tenant], begin: Sequence[int]
) -> None:
    """What the tenants did since, a little of each at a time."""
    places = list(begin)
    while any(place < len(one.domain.history) for place, one in zip(places, tenants, strict=True)):
        for number, tenant in enumerate(tenants):
            events = tenant.domain.history[places[number] : places[number] + SLICE]
            places[number] += len(events)
            await publications.add(events)
            await publications.refuse(tenant.domain.state.tenant, 1)


async def test_a_process_that_is_killed_again_and_again_counts_what_the_log_says(
    installation: Installation,
) -> None:
    draw = Random(SEED)
    tenants = [Tenant(name, draw) for name in TENANTS]
    publications = Publications(installation.log, draw)
    begin = [0 for _ in tenants]
    share = EVENTS // len(tenants) // (KILLS + 1)
    for last in (*(False for _ in range(KILLS)), True):
        for tenant in tenants:
            tenant.work(share)
        with installation.counting() as (process, asking):
            await counted(asking, "default", 0)  # from here on the feeds bring what is new
            publishing = asyncio.create_task(publish(publications, tenants, begin))
            if not last:
                await counted(asking, "default", begin[0] + draw.randint(1, share * 8 // 10))
                process.kill()
            await publishing
            begin = [len(tenant.domain.history) for tenant in tenants]
            if last:
                await publications.finish()
                for tenant in tenants:
                    await counted(asking, tenant.domain.state.tenant, len(tenant.domain.history))
                process.terminate()
                assert process.wait(PATIENCE) == TERMINATED
    assert await installation.unread() == 0
    found, expected = await installation.table(), await recounted(installation.log, REGISTRY)
    assert {name: one.state.seq for name, one in expected.histories.items()} == {
        tenant.domain.state.tenant: len(tenant.domain.history) for tenant in tenants
    }
    assert shown(found) == shown(expected)


async def test_what_cannot_be_counted_ends_the_process_and_is_counted_once_it_can_be(
    installation: Installation,
) -> None:
    elsewhere = ClaimCheckLog(installation.raw, FolderBlobs(installation.folder / "elsewhere"))
    publications = Publications(elsewhere, Random(SEED))
    tenant = Tenant("acme", Random(SEED))
    tenant.domain.given(task("large"), claim(), complete("large", result=f'"{"x" * 65_500}"'))
    tenant.work(50)
    with installation.counting() as (process, asking):
        await counted(asking, "acme", 0)
        await publish(publications, [tenant], [0])
        await publications.finish()
        assert process.wait(PATIENCE) == Corrupt.exit_code
    with installation.counting() as (process, _):
        assert process.wait(PATIENCE) == Corrupt.exit_code
    assert (installation.folder / "log.txt").read_text("utf-8").count("value_missing") == 2
    (installation.folder / "elsewhere").rename(installation.blobs)
    with installation.counting() as (_, asking):
        await counted(asking, "acme", len(tenant.domain.history))
    expected = await recounted(installation.log, REGISTRY)
    assert shown(await installation.table()) == shown(expected)


async def test_a_rebuild_counts_the_log_whatever_the_table_says(installation: Installation) -> None:
    tenant = Tenant("acme", Random(SEED))
    publications = Publications(installation.log, Random(SEED))
    await publish(publications, [tenant], [0])
    tenant.work(100)
    with installation.counting() as (_, asking):
        # The log alone has them: the first start counts that.
        await counted(asking, "acme", 2)
        await publish(publications, [tenant], [2])
        await publications.finish()
        await counted(asking, "acme", len(tenant.domain.history))
    with installation.counting("--rebuild") as (_, asking):
        await counted(asking, "acme", len(tenant.domain.history))
        more = len(tenant.domain.history)
        tenant.work(20)
        await publish(publications, [tenant], [more])
        await publications.finish()
        await counted(asking, "acme", len(tenant.domain.history))
    expected = await recounted(installation.log, REGISTRY)
    assert shown(await installation.table()) == shown(expected)
