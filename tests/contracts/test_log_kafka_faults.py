"""What the log on Kafka promises when brokers die, answers are lost, and records disappear."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from agent_orchestration.backends.log import LogLost, OutcomeUnknown, Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.core.errors import Rejected, Unavailable
from tests.contracts.kafka_sender import PATIENCE, Sender, everything, records, values
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.running import running
from tests.services import toxiproxy
from tests.services.kafka import Broker, free_port, own_broker
from tests.services.toxiproxy import Proxy

pytestmark = [pytest.mark.process, pytest.mark.slow]
TOPICS = [Topic("events", "the truth", 2, None)]


class Network(NamedTuple):
    """A broker that clients reach over the proxy, and tests also directly."""

    broker: Broker
    proxy: Proxy


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[Network]:
    folder, port = tmp_path_factory.mktemp("network"), free_port()
    settings = {"auto.create.topics.enable": "true"}
    with (
        toxiproxy.own_server(folder / "toxiproxy") as server,
        own_broker(folder / "kafka", settings, proxied=port) as broker,
    ):
        yield Network(broker, server.proxy("kafka", port, broker.upstream))


@pytest.fixture
def proxy(network: Network) -> Generator[Proxy]:
    if not network.broker.is_alive:
        network.broker.start()  # the test before ended too early
    yield network.proxy
    network.proxy.heal()


@pytest.fixture
async def topics(proxy: Proxy) -> AsyncIterator[KafkaTopics]:
    async with own_topics(f"127.0.0.1:{proxy.port}") as topics:
        await topics.make(TOPICS)
        yield topics


@asynccontextmanager
async def opened(topics: KafkaTopics, seconds: float = PATIENCE) -> AsyncGenerator[KafkaLog]:
    async with running(KafkaLog(topics.settings, TOPICS, seconds=seconds)) as log:
        yield log


@pytest.fixture
async def log(topics: KafkaTopics) -> AsyncIterator[KafkaLog]:
    async with opened(topics) as log:
        yield log


@pytest.fixture
async def direct(network: Network, topics: KafkaTopics) -> AsyncIterator[KafkaLog]:
    servers = {"bootstrap_servers": network.broker.bootstrap_servers}
    async with running(KafkaLog(topics.settings.model_copy(update=servers), TOPICS)) as log:
        yield log


def lose_answers(proxy: Proxy) -> None:
    """What is written from now on is, but nobody is told before the connections are closed."""
    proxy.add("timeout", "downstream", timeout=0)


async def restarted(broker: Broker) -> None:
    broker.kill()
    await asyncio.to_thread(broker.start)


async def test_nothing_acknowledged_is_lost_or_doubled_when_the_broker_is_killed(
    network: Network, topics: KafkaTopics
) -> None:
    # One is patient enough for an outage, the other gives up within it.
    async with opened(topics) as patient, opened(topics, seconds=0.5) as hasty:
        senders = [Sender(patient, 0), Sender(hasty, 1)]
        tasks = [asyncio.create_task(sender.run()) for sender in senders]
        for _ in range(3):
            await asyncio.gather(*(sender.goes_on() for sender in senders))
            await restarted(network.broker)
        await asyncio.gather(*(sender.goes_on() for sender in senders))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sender in senders:
            await sender.check(patient)
    assert not senders[0].refused | senders[0].unknown
    assert senders[1].refused


async def test_waiting_outlasts_an_outage(network: Network, log: KafkaLog) -> None:
    waiting = asyncio.create_task(log.wait("events", 0, 0, PATIENCE))
    await restarted(network.broker)
    assert not waiting.done()
    await log.append("events", 0, records("a"))
    assert await waiting
    assert values(await log.read("events", 0, 0, 10)) == ["a"]


async def test_without_a_broker_nothing_is_written_and_it_is_said(
    network: Network, topics: KafkaTopics
) -> None:
    async with opened(topics, seconds=1) as log:
        await log.append("events", 0, records("before"))
        network.broker.kill()
        with pytest.raises(Unavailable, match=r"reading .*events/0 at 1"):
            await log.read("events", 0, 1, 10)
        with pytest.raises(Unavailable, match="asking for the end"):
            await log.bounds("events", 0)
        with pytest.raises(Unavailable, match=r"appending to .*events/0") as error:
            await log.append("events", 0, records("during"))
        assert not isinstance(error.value, OutcomeUnknown)
        with pytest.raises(Unavailable, match="positions of group"):
            await log.committed("readers", "events", 0)
        with pytest.raises(Unavailable, match="connecting to"):
            await KafkaLog(topics.settings, TOPICS, seconds=1).start()
        await asyncio.to_thread(network.broker.start)
        await _reachable(log)
        await log.append("events", 0, records("after"))
        assert values(await everything(log)) == ["before", "after"]


async def _reachable(log: KafkaLog) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await log.bounds("events", 0)
            except Unavailable:
                continue
            return


async def test_an_append_whose_answer_was_lost_is_repeated_without_doubling(
    proxy: Proxy, log: KafkaLog, direct: KafkaLog
) -> None:
    await log.append("events", 0, records("a"))
    lose_answers(proxy)
    appending = asyncio.create_task(log.append("events", 0, records("b", "c")))
    assert await direct.wait("events", 0, 1, PATIENCE)
    proxy.heal()
    assert [stamp.offset for stamp in await appending] == [1, 2]
    assert [stamp.offset for stamp in await log.append("events", 0, records("d"))] == [3]
    assert values(await everything(log)) == ["a", "b", "c", "d"]


async def test_an_append_whose_answer_never_comes_is_unknown_and_the_next_one_works(
    proxy: Proxy, topics: KafkaTopics
) -> None:
    async with opened(topics, seconds=1) as log:
        await log.append("events", 0, records("a"))
        lose_answers(proxy)
        with pytest.raises(OutcomeUnknown, match="whether the records were kept is unknown"):
            await log.append("events", 0, records("b"))
        proxy.heal()
        await _reachable(log)
        assert [s.offset for s in await log.append("events", 0, records("c"))] == [2]
        assert values(await everything(log)) == ["a", "b", "c"]


async def test_an_append_that_never_had_its_turn_is_nowhere(
    proxy: Proxy, topics: KafkaTopics
) -> None:
    async with opened(topics, seconds=1) as log:
        await log.append("events", 0, records("a"))
        lose_answers(proxy)
        answers = await asyncio.gather(
            *(log.append("events", 0, records(value)) for value in "bcd"), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [OutcomeUnknown, Unavailable, Unavailable]
        proxy.heal()
        await _reachable(log)
        assert values(await everything(log)) == ["a", "b"]


async def test_a_cancelled_append_does_not_disturb_the_next_one(
    proxy: Proxy, log: KafkaLog, direct: KafkaLog
) -> None:
    await log.append("events", 0, records("a"))
    lose_answers(proxy)
    appending = asyncio.create_task(log.append("events", 0, records("b")))
    assert await direct.wait("events", 0, 1, PATIENCE)
    appending.cancel()
    await asyncio.gather(appending, return_exceptions=True)
    proxy.heal()
    await log.append("events", 0, records("c"))
    assert values(await everything(log)) == ["a", "b", "c"]


async def test_after_a_loss_of_power_positions_are_lost_and_appending_goes_on(
    network: Network, topics: KafkaTopics, log: KafkaLog, caplog: pytest.LogCaptureFixture
) -> None:
    for value in "abc":
        await log.append("events", 0, records(value))
    assert await log.wait("events", 0, 2, PATIENCE)
    waiting = asyncio.create_task(log.wait("events", 0, 3, PATIENCE))
    network.broker.kill()
    # What a broker had not yet on its disk is gone, and with it the end of a producer's sequence.
    _tear_off_half(network.broker.home, f"{topics.settings.prefix}events-0")
    await asyncio.to_thread(network.broker.start)
    with pytest.raises(LogLost, match="events/0: position 3 is outside the records kept"):
        await log.read("events", 0, 3, 10)
    with pytest.raises(LogLost):
        await waiting
    kept = values(await everything(log))
    assert kept == ["a"]
    assert [stamp.offset for stamp in await log.append("events", 0, records("d", "e"))] == [1, 2]
    assert values(await everything(log)) == ["a", "d", "e"]
    assert "needs a new producer: error 45" in caplog.text  # OutOfOrderSequenceNumber


def _tear_off_half(home: Path, partition: str) -> None:
    file = home / "data" / partition / "00000000000000000000.log"
    written = file.read_bytes().rstrip(b"\0")
    with file.open("r+b") as opened_file:
        opened_file.truncate(len(written) // 2)


async def test_a_member_stays_one_when_the_broker_is_restarted(
    network: Network, topics: KafkaTopics
) -> None:
    owned = asyncio.Event()
    told: list[frozenset[int]] = []

    async def assigned(partitions: frozenset[int]) -> None:
        told.append(partitions)
        owned.set()

    async def revoked(partitions: frozenset[int]) -> None:
        owned.clear()

    log = KafkaLog(topics.settings.model_copy(update={"session_timeout_ms": 2000}), TOPICS)
    await log.start()
    try:
        await log.join("readers", ["events"], assigned, revoked)
        await log.commit("readers", "events", 1, 1)
        await restarted(network.broker)
        async with asyncio.timeout(PATIENCE):
            while await log.committed("readers", "events", 1) != (log.epoch, 2):
                await owned.wait()
                with contextlib.suppress(Unavailable):
                    await log.commit("readers", "events", 1, 2)
        assert set(told) == {frozenset({0, 1})}
    finally:
        await log.stop()


async def test_starting_makes_no_topics_where_asking_for_them_would(topics: KafkaTopics) -> None:
    more = [*TOPICS, Topic("commands", "every command", 2, None)]
    for _ in range(2):
        with pytest.raises(Rejected, match="commands are missing"):
            await KafkaLog(topics.settings, more).start()


async def test_stopping_during_an_outage_takes_no_time(
    network: Network, topics: KafkaTopics
) -> None:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(opened(topics))
        network.broker.kill()
        stack.push_async_callback(asyncio.to_thread, network.broker.start)
        appending = asyncio.create_task(log.append("events", 0, records("a")))
        waiting = asyncio.create_task(log.wait("events", 0, 0, PATIENCE))
        await asyncio.wait({appending, waiting}, timeout=0.2)
        async with asyncio.timeout(5):
            await log.stop()
            with pytest.raises(Unavailable, match="not open"):
                await appending
            assert not await waiting
