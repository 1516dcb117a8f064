"""The log on three brokers, as in production: any one of them may die."""

import asyncio
from collections.abc import Generator

import pytest

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.metadata import find_topics
from agent_orchestration.backends.log.kafka.topics import configured, create, plan
from tests.contracts.kafka_sender import PATIENCE, Sender
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.services.kafka import Broker, own_cluster

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]
EVENTS = Topic("events", "the truth", 3, None)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Generator[list[Broker]]:
    with own_cluster(tmp_path_factory.mktemp("kafka"), 3) as brokers:
        yield brokers


async def test_nothing_acknowledged_is_lost_whichever_broker_dies(brokers: list[Broker]) -> None:
    servers = ",".join(broker.bootstrap_servers for broker in brokers)
    async with own_topics(servers) as topics:
        await _make_safe(topics)
        log = KafkaLog(topics.settings, [EVENTS], production=True, seconds=PATIENCE)
        await log.start()
        senders = [Sender(log, partition) for partition in range(EVENTS.partitions)]
        tasks = [asyncio.create_task(sender.run()) for sender in senders]
        waiting = asyncio.create_task(log.wait("events", 0, 1_000_000, 4 * PATIENCE))
        for broker in brokers:
            await asyncio.gather(*(sender.goes_on() for sender in senders))
            broker.kill()
            await asyncio.gather(*(sender.goes_on() for sender in senders))
            await asyncio.to_thread(broker.start)
        await asyncio.gather(*(sender.goes_on() for sender in senders))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not waiting.done()
        for sender in senders:
            await sender.check(log)
            assert not sender.refused | sender.unknown
        await log.stop()
        assert not await waiting


async def _make_safe(topics: KafkaTopics) -> None:
    planned = plan(configured([EVENTS], topics.settings), topics.settings, production=True)
    assert {one.settings["min.insync.replicas"] for one in planned} == {"2"}
    reports = await create(topics.connection, planned)
    assert {report.state for report in reports} == {"created"}
    found = await find_topics(topics.connection, [one.name for one in planned])
    assert {topic.replicas for topic in found.values()} == {3}
