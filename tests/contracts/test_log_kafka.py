"""What is peculiar to the log on Kafka: its topics, its epoch, sizes, and who may connect."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.errors import LeaderNotAvailableError
from aiokafka.protocol.admin import AlterConfigsRequest, DeleteRecordsRequest
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import DAY_MS, LogLost, Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.appender import BATCH_BYTES
from agent_orchestration.backends.log.kafka.positions import Positions
from agent_orchestration.backends.log.kafka.topics import configured, create, describe, plan
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.running import running
from tests.services import kafka
from tests.services.kafka_users import certificate, encrypted

COMMANDS = Topic("commands", "every command", 2, 7 * DAY_MS)
EVENTS = Topic("events", "the truth", 2, None)
FEED = Topic("task_events", "a feed", 2, DAY_MS, view_of="events", types=frozenset({"TaskCreated"}))
TOPICS = [COMMANDS, EVENTS, FEED]


@pytest.fixture
async def topics() -> AsyncIterator[KafkaTopics]:
    async with own_topics(kafka.bootstrap_servers()) as topics:
        yield topics


@asynccontextmanager
async def opened(topics: KafkaTopics) -> AsyncGenerator[KafkaLog]:
    async with running(await topics.log(TOPICS)) as log:
        yield log


@pytest.fixture
async def log(topics: KafkaTopics) -> AsyncIterator[KafkaLog]:
    async with opened(topics) as log:
        yield log


def records(*values: bytes) -> list[Record]:
    return [Record(b"tenant", value) for value in values]


async def everything(log: KafkaLog, limit: int = 1000) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while more := await log.read("events", 0, len(found), limit):
        assert len(more) <= limit
        found += more
    return found


async def delete_before(topics: KafkaTopics, name: str, offset: int) -> None:
    """Delete the first records, as their retention would."""
    entry: Any = (topics.settings.prefix + name, [(0, offset)])
    request = DeleteRecordsRequest([entry], 10_000)
    answer = await topics.connection.ask(topics.connection.anyone(), request)
    [(_, [(_, _, code, *_)], *_)] = answer.topics
    assert code == 0


async def alter(topics: KafkaTopics, name: str, **settings: str) -> None:
    kept = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    changed = {setting.replace("_", "."): value for setting, value in settings.items()}
    resource: Any = (2, topics.settings.prefix + name, list({**kept, **changed}.items()))
    request = AlterConfigsRequest([resource])
    answer = await topics.connection.ask(topics.connection.anyone(), request)
    assert [code for code, *_ in answer.resources] == [0]

    async def look() -> None:
        planned = plan(configured(TOPICS, topics.settings), topics.settings, production=False)
        for report in await describe(topics.connection, planned):
            if report.name.endswith(f"-{name}") and not changed.items() <= report.settings.items():
                raise LeaderNotAvailableError

    await topics.connection.retrying(look, "waiting for the settings")


# --- topics --------------------------------------------------------------------------------------


async def test_a_feed_is_a_topic_of_its_own(log: KafkaLog) -> None:
    types = frozenset({"TaskCreated"})
    assert log.topics()["task_events"] == Topic("task_events", "a feed", 2, DAY_MS, types=types)
    await log.append("events", 0, records(b"truth"))
    await log.append("task_events", 0, records(b"feed"))
    [found] = await log.read("task_events", 0, 0, 10)
    assert (found.topic, found.value) == ("task_events", b"feed")


async def test_topics_are_made_once_and_as_planned(topics: KafkaTopics) -> None:
    planned = plan(configured(TOPICS, topics.settings), topics.settings, production=False)
    assert {r.state for r in await describe(topics.connection, planned)} == {"missing"}
    await topics.make(TOPICS)
    assert {r.state for r in await create(topics.connection, planned)} == {"ok"}
    reports = {r.carries: r for r in await describe(topics.connection, planned)}
    assert [(r.partitions, r.replicas, r.drift) for r in reports.values()] == [
        *[(2, 1, [])] * 3,
        (1, 1, []),
    ]
    assert {name: r.settings["retention.ms"] for name, r in reports.items()} == {
        "every command": str(7 * DAY_MS),
        "the truth": "-1",
        "a feed": str(DAY_MS),
        "which log this is": "-1",
    }
    assert {r.settings["message.timestamp.type"] for r in reports.values()} == {"LogAppendTime"}
    assert {r.settings["cleanup.policy"] for r in reports.values()} == {"delete"}


async def test_drift_is_reported_and_never_changed(topics: KafkaTopics) -> None:
    await topics.make(TOPICS)
    settings = topics.settings.model_copy(
        update={"topics": Kafka.model_validate({"topics": [{"name": "task_events"}]}).topics}
    )
    wider = [COMMANDS, EVENTS, msgspec.structs.replace(FEED, partitions=3, retention_ms=1000)]
    planned = plan(configured(wider, settings), settings, production=False)
    drift = {r.name: r.drift for r in await create(topics.connection, planned) if r.drift}
    assert drift == {
        f"{settings.prefix}task_events": [
            "partitions is 2, planned 3",
            f"retention.ms is {DAY_MS}, planned 1000",
        ]
    }


async def test_production_has_three_replicas_and_can_miss_one() -> None:
    settings = Kafka()
    for production, replicas, least in ((False, 1, "1"), (True, 3, "2")):
        [planned, _] = plan([EVENTS], settings, production=production)
        assert (planned.replicas, planned.settings["min.insync.replicas"]) == (replicas, least)
    [planned, _] = plan([EVENTS], Kafka(replication_factor=5), production=False)
    assert (planned.replicas, planned.settings["min.insync.replicas"]) == (5, "2")


async def test_what_the_cluster_refuses_is_said(topics: KafkaTopics) -> None:
    settings = topics.settings.model_copy(update={"replication_factor": 9})
    planned = plan([EVENTS], settings, production=False)
    with pytest.raises(Rejected, match=r"creating the topic .*events.*[Rr]eplication"):
        await create(topics.connection, planned)


def test_the_settings_of_topics_are_checked() -> None:
    def of(*entries: dict[str, Any]) -> list[Topic]:
        return configured(TOPICS, Kafka.model_validate({"topics": entries}))

    more = of({"name": "task_events", "partitions": 8, "retention_ms": 5})
    assert (more[2].name, more[2].partitions, more[2].retention_ms) == ("task_events", 8, 5)
    with pytest.raises(Rejected, match="there is no topic nonsense"):
        of({"name": "nonsense"})
    with pytest.raises(Rejected, match=r"commands, events have \[2, 8\] partitions"):
        of({"name": "events", "partitions": 8})
    with pytest.raises(Rejected, match="events is kept for ever"):
        of({"name": "events", "retention_ms": 1000})


# --- starting ------------------------------------------------------------------------------------


async def test_missing_topics_are_named_with_the_remedy_and_not_made(topics: KafkaTopics) -> None:
    await topics.make([COMMANDS, EVENTS])
    with pytest.raises(Rejected, match="task_events are missing: run `agent-orchestration topics"):
        await KafkaLog(topics.settings, TOPICS).start()
    planned = plan(configured(TOPICS, topics.settings), topics.settings, production=False)
    states = [report.state for report in await describe(topics.connection, planned)]
    assert states == ["ok", "ok", "missing", "ok"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"message_timestamp_type": "CreateTime"}, "message.timestamp.type=LogAppendTime"),
        ({"retention_ms": "1000"}, "retention.ms=-1"),
        ({"cleanup_policy": "compact"}, "cleanup.policy=delete"),
    ],
)
async def test_topics_with_which_it_would_go_wrong_are_refused(
    topics: KafkaTopics, settings: dict[str, str], told: str
) -> None:
    await topics.make(TOPICS)
    await alter(topics, "events", **settings)
    with pytest.raises(Rejected, match=f"events must have {told}"):
        await KafkaLog(topics.settings, TOPICS).start()


async def test_a_setting_that_is_lost_while_it_runs_is_noticed(
    topics: KafkaTopics, log: KafkaLog
) -> None:
    await alter(topics, "events", message_timestamp_type="CreateTime")
    with pytest.raises(Corrupt, match="keeps the senders' time"):
        await log.append("events", 0, records(b"a"))


async def test_a_closed_log_says_so(topics: KafkaTopics) -> None:
    log = await topics.log(TOPICS)
    with pytest.raises(Unavailable, match="not open: start it first"):
        await log.bounds("events", 0)
    await log.stop()


# --- the epoch -----------------------------------------------------------------------------------


async def test_topics_made_anew_are_another_log(topics: KafkaTopics) -> None:
    async with opened(topics) as log:
        before = log.epoch
        await log.append("commands", 0, records(b"a", b"b"))
        await log.commit("readers", "commands", 0, 2)
        await log.commit("readers", "events", 0, 1)
        await topics.delete(topics.settings.prefix + "commands")
        with pytest.raises(Rejected, match="commands are missing"):
            await KafkaLog(topics.settings, TOPICS).start()
        await topics.make_with_other_tools(COMMANDS)
        with pytest.raises(Corrupt, match=r"were made anew.*topics create.*rebuild"):
            await KafkaLog(topics.settings, TOPICS).start()
        with pytest.raises(LogLost, match="commands/0: position 2 is outside"):
            await log.read("commands", 0, 2, 10)
    async with opened(topics) as log:
        assert log.epoch > before
        assert await log.committed("readers", "commands", 0) is None
        assert await log.committed("readers", "events", 0) == (before, 1)


async def test_a_position_set_with_other_tools_counts_for_this_log(
    topics: KafkaTopics, log: KafkaLog
) -> None:
    await log.commit("readers", "events", 0, 1)
    prefix = topics.settings.prefix
    place = TopicPartition(prefix + "events", 0)
    await Positions(topics.connection).commit(prefix + "readers", {place: (7, "")})
    assert await log.committed("readers", "events", 0) == (log.epoch, 7)


# --- sizes and retention -------------------------------------------------------------------------


async def test_a_large_append_is_several_batches_in_order(log: KafkaLog) -> None:
    # Numbers that do not compress: four batches, and many fetches.
    values = [
        b"%d " % n + bytes((n * 7919 + i * i) % 251 for i in range(60_000)) for n in range(60)
    ]
    assert sum(map(len, values)) > 3 * BATCH_BYTES
    stamps = await log.append("events", 0, records(*values))
    assert [stamp.offset for stamp in stamps] == list(range(60))
    for limit in (1, 7, 1000):
        assert [record.value for record in await everything(log, limit)] == values


async def test_readers_at_different_places_each_get_everything(log: KafkaLog) -> None:
    await log.append("events", 0, records(*(b"%d" % n for n in range(100))))
    found: dict[int, list[int]] = {size: [] for size in (3, 7, 10)}
    while any(len(mine) < 100 for mine in found.values()):
        for size, mine in found.items():
            mine += [int(record.value) for record in await log.read("events", 0, len(mine), size)]
    assert set(map(tuple, found.values())) == {tuple(range(100))}


async def test_what_expired_is_lost_and_the_rest_is_read(
    topics: KafkaTopics, log: KafkaLog
) -> None:
    await log.append("events", 0, records(*(b"%d" % n for n in range(10))))
    assert await log.wait("events", 0, 9, 30)
    await delete_before(topics, "events", 4)
    assert await log.bounds("events", 0) == (4, 10)
    with pytest.raises(LogLost, match="position 3 is outside the records kept, 4 to 10"):
        await log.read("events", 0, 3, 10)
    assert [r.value for r in await log.read("events", 0, 4, 2)] == [b"4", b"5"]
    # Nobody waited while all of it expired.
    await delete_before(topics, "events", 10)
    await log.append("events", 0, records(b"last"))
    await delete_before(topics, "events", 11)
    assert not await log.wait("events", 0, 11, 0.5)
    await log.append("events", 0, records(b"new"))
    assert await log.wait("events", 0, 11, 30)


# --- security ------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.slow
async def test_with_encryption_and_passwords(tmp_path: Path) -> None:
    shown, both = certificate(tmp_path)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule"
    settings = {
        **encrypted(shown, both),
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": (
            f'{login} required username="broker" password="inside"'
            ' user_broker="inside" user_platform="right";'
        ),
    }
    asked: dict[str, Any] = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": "platform",
        "password": "right",
        "ssl_ca_file": shown,
    }
    with kafka.own_broker(tmp_path / "broker", settings, listener="SASL_SSL") as broker:
        async with own_topics(broker.bootstrap_servers, **asked) as topics, opened(topics) as log:
            await log.append("events", 0, records(b"secret"))
            assert [record.value for record in await everything(log)] == [b"secret"]
            mistakes: list[dict[str, Any]] = [{"password": "wrong"}, {"ssl_ca_file": None}]
            for wrong in mistakes:
                refused = Kafka(bootstrap_servers=broker.bootstrap_servers, **{**asked, **wrong})
                with pytest.raises(Unavailable, match="connecting to") as error:
                    await KafkaLog(refused, TOPICS, seconds=3).start()
                assert "wrong" not in error.value.reason
