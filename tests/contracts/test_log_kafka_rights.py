"""The rights that docs/kafka.md tells to grant are enough, and without them little can be done."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.connection import connected
from agent_orchestration.backends.log.kafka.groups import list_groups, positions_of, reset
from agent_orchestration.backends.log.kafka.topics import configured, create, plan
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Unavailable
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.services.kafka import Broker, own_broker

pytestmark = [pytest.mark.process, pytest.mark.slow]
TOPICS = [Topic("commands", "every command", 2, None), Topic("events", "the truth", 2, None)]
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
USERS = ("broker", "admin", "server", "processor", "maker", "operator")
COMMON = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
RECORD = [Record(b"tenant", b"value")]

Open = Callable[[str], Awaitable[KafkaLog]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[Broker]:
    users = " ".join(f'user_{name}="secret-{name}"' for name in USERS)
    settings = {
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": (
            f'{LOGIN} required username="broker" password="secret-broker" {users};'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:broker;User:admin;User:ANONYMOUS",
    }
    home = tmp_path_factory.mktemp("kafka") / "broker"
    with own_broker(home, settings, listener="SASL_PLAINTEXT") as broker:
        yield broker


@pytest.fixture
async def topics(broker: Broker) -> AsyncIterator[KafkaTopics]:
    user: dict[str, Any] = {**COMMON, "username": "admin", "password": "secret-admin"}
    async with own_topics(broker.bootstrap_servers, **user) as topics:
        await topics.make(TOPICS)
        yield topics


@pytest.fixture
async def opened(topics: KafkaTopics) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_as(user: str) -> KafkaLog:
            log = KafkaLog(as_user(topics, user), TOPICS, seconds=5)
            await log.start()
            stack.push_async_callback(log.stop)
            return log

        yield open_as


def grant(broker: Broker, folder: Path, user: str, *rights: str) -> None:
    login = f'{LOGIN} required username="admin" password="secret-admin";'
    file = folder / "admin.properties"
    lines = (
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=PLAIN",
        f"sasl.jaas.config={login}",
    )
    file.write_text("\n".join(lines), "utf-8")
    broker.run(
        "org.apache.kafka.tools.AclCommand",
        *("--bootstrap-server", broker.bootstrap_servers, "--command-config", str(file)),
        *("--add", "--allow-principal", f"User:{user}", *rights),
    )


def everywhere(topics: KafkaTopics) -> tuple[str, ...]:
    place = ("--topic", topics.settings.prefix, "--resource-pattern-type", "prefixed")
    return ("--operation", "Read", "--operation", "DescribeConfigs", *place)


def as_user(topics: KafkaTopics, user: str, **changed: str) -> Kafka:
    password = f"secret-{user}"
    given = {**topics.settings.model_dump(), "username": user, "password": password, **changed}
    return Kafka.model_validate(given)


async def told(partitions: frozenset[int]) -> None:
    assert partitions == {0, 1}


async def test_without_rights_it_does_not_start(opened: Open) -> None:
    with pytest.raises(Unavailable, match="Kafka refuses it to this user") as error:
        await opened("processor")
    assert error.value.code == "log_forbidden"


async def test_the_server_writes_commands_and_nothing_else(
    broker: Broker, topics: KafkaTopics, opened: Open, tmp_path: Path
) -> None:
    commands = topics.settings.prefix + "commands"
    grant(broker, tmp_path, "server", *everywhere(topics))
    grant(broker, tmp_path, "server", "--operation", "Write", "--topic", commands)
    log = await opened("server")
    await log.append("commands", 0, RECORD)
    assert [r.value for r in await log.read("commands", 0, 0, 9)] == [b"value"]
    with pytest.raises(Unavailable, match=r"appending to .*events/0: Kafka refuses"):
        await log.append("events", 0, RECORD)
    with pytest.raises(Unavailable, match=r"joining group .*: Kafka refuses"):
        await log.join("processors", ["commands", "events"], told, told)


async def test_a_processor_writes_events_and_is_a_member(
    broker: Broker, topics: KafkaTopics, opened: Open, tmp_path: Path
) -> None:
    prefix = topics.settings.prefix
    grant(broker, tmp_path, "processor", *everywhere(topics))
    grant(broker, tmp_path, "processor", "--operation", "Write", "--topic", f"{prefix}events")
    grant(broker, tmp_path, "processor", "--operation", "Read", "--group", f"{prefix}processors")
    log = await opened("processor")
    await log.append("events", 0, RECORD)
    await log.join("processors", ["commands", "events"], told, told)
    await log.commit("processors", "commands", 0, 1)
    assert await log.committed("processors", "commands", 0) == (log.epoch, 1)
    assert list(await log.member_rules("processors")) == [0]


async def test_who_makes_topics_needs_no_more_than_that(
    broker: Broker, topics: KafkaTopics, tmp_path: Path
) -> None:
    settings = as_user(topics, "maker", prefix=f"{topics.settings.prefix}more-")
    rights = [
        word
        for one in ("Create", "Read", "Write", "DescribeConfigs")
        for word in ("--operation", one)
    ]
    place = ("--topic", settings.prefix, "--resource-pattern-type", "prefixed")
    grant(broker, tmp_path, "maker", *rights, *place)
    async with connected(settings) as connection:
        planned = plan(configured(TOPICS, settings), settings, production=False)
        assert {r.state for r in await create(connection, planned)} == {"created"}
        assert {r.state for r in await create(connection, planned)} == {"ok"}


async def test_who_looks_after_groups_needs_no_more_than_that(
    broker: Broker, topics: KafkaTopics, opened: Open, tmp_path: Path
) -> None:
    log = await opened("admin")
    await log.append("commands", 1, RECORD)
    await log.commit("processors", "commands", 1, 1)
    prefix = topics.settings.prefix
    name = f"{prefix}processors"
    grant(broker, tmp_path, "operator", "--operation", "Describe", "--group", name)
    place = ("--topic", prefix, "--resource-pattern-type", "prefixed")
    grant(broker, tmp_path, "operator", "--operation", "Describe", *place)
    async with connected(as_user(topics, "operator")) as connection:
        assert [group.name for group in await list_groups(connection, prefix)] == [name]
        assert [one.position for one in await positions_of(connection, name)] == [1]
        with pytest.raises(Unavailable, match="Kafka refuses it to this user"):
            await reset(connection, name)
        grant(broker, tmp_path, "operator", "--operation", "Read", "--group", name)
        grant(broker, tmp_path, "operator", "--operation", "Read", *place)
        await reset(connection, name)
        assert [one.position for one in await positions_of(connection, name)] == [0]
