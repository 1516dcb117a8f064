"""Who may do what on Kafka: docs/kafka-rights.sh grants what the table in docs/kafka.md says, which
is tried out cell by cell, what is allowed and what is not."""

import asyncio
import itertools
import re
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.structs import TopicPartition

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.connection import Connection, connected
from agent_orchestration.backends.log.kafka.epoch import TOPIC as LOG_EPOCH
from agent_orchestration.backends.log.kafka.groups import find_group, list_groups
from agent_orchestration.backends.log.kafka.positions import Positions
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.backends.log.kafka.topics import (
    configured,
    create,
    delete_before,
    describe,
    plan,
)
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.topology import GROUP, topics
from tests.architecture.source import ROOT
from tests.services.kafka_users import ADMIN, USERS, Guarded, guarded_broker

pytestmark = [pytest.mark.process, pytest.mark.slow]
PLANNED = topics(REGISTRY, 1)
NAMES = [LOG_EPOCH.name, *(topic.name for topic in PLANNED)]
FEEDS = [topic.name for topic in PLANNED if topic.view_of]
FORBIDDEN = "log_forbidden"

Rights = set[tuple[str, str]]
"""(topic, or `group`; what may be done with it)."""


def table() -> Mapping[str, Rights]:
    """What the page says, by user."""
    text = (ROOT / "docs" / "kafka.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `ao-")]
    [head] = [line for line in text.splitlines() if line.startswith("| user | `log_epoch`")]
    columns = [cell.strip(" `") for cell in head.strip("|").split("|")][1:]
    rights: dict[str, Rights] = {}
    for line in lines:
        user, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
        if len(cells) == len(columns):
            rights[user] = {
                (name, right)
                for column, cell in zip(columns, cells, strict=True)
                for name in (FEEDS if column == "feeds" else [column])
                for right in re.findall(r"\w+", cell)
            }
    return rights


TABLE = table()


def test_the_page_has_every_user_and_topic() -> None:
    assert set(TABLE) == set(USERS)
    assert {name for rights in TABLE.values() for name, _ in rights} == {*NAMES, "group"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Generator[Guarded]:
    with guarded_broker(tmp_path_factory.mktemp("kafka")) as guarded:
        yield guarded


class Place:
    """Topics and a group under a prefix of their own."""

    def __init__(self, kafka: Guarded) -> None:
        self.kafka = kafka
        self.prefix = f"test-{uuid.uuid4().hex[:12]}-"

    def settings(self, user: str) -> Kafka:
        return Kafka.model_validate({**self.kafka.settings(user), "prefix": self.prefix})

    async def make(self, user: str) -> list[str]:
        """Make the topics; how they were found."""
        settings = self.settings(user)
        planned = plan(configured(PLANNED, settings), settings, production=False)
        async with connected(settings) as connection:
            return [report.state for report in await create(connection, planned)]

    async def states(self, user: str) -> set[str]:
        """How the topics are, for somebody who may know."""
        settings = self.settings(user)
        planned = plan(configured(PLANNED, settings), settings, production=False)
        async with connected(settings) as connection:
            return {report.state for report in await describe(connection, planned)}

    async def rights(self, user: str) -> Rights:
        """All that the user may do, by trying."""
        names = [self.prefix + name for name in NAMES]
        async with connected(self.settings(user)) as connection:
            await connection.watch(names)
            tried = itertools.product(NAMES, TRIALS.items())
            found = {
                (name, right)
                for name, (right, trial) in tried
                if await allowed(trial(connection, TopicPartition(self.prefix + name, 0)))
            }
            group = self.prefix + GROUP
            # Positions are set in a topic that everybody may read.
            place = TopicPartition(self.prefix + LOG_EPOCH.name, 0)
            if await allowed(find_group(connection, group)):
                found.add(("group", "describe"))
            if await allowed(Positions(connection).commit(group, {place: (0, "")})):
                found.add(("group", "read"))
            return found


async def allowed(trial: Awaitable[object]) -> bool:
    """Whether Kafka does it for this user; anything else that goes wrong is an error."""
    try:
        await trial
    except Unavailable as error:
        if error.code == FORBIDDEN:
            return False
        raise
    except TopicAuthorizationFailedError:
        return False
    return True


async def read(connection: Connection, place: TopicPartition) -> None:
    await Reader(connection, {place.topic: place.topic}).read(place, 0, 1)


async def write(connection: Connection, place: TopicPartition) -> None:
    await Appender(connection).append(place, [Record(b"tenant", b"value")])


async def delete(connection: Connection, place: TopicPartition) -> None:
    await delete_before(connection, place, 0)


async def make(connection: Connection, place: TopicPartition) -> None:
    """It is there, which is said to those only who might have made it."""
    entry: Any = (place.topic, 1, 1, [], [])
    request = CreateTopicsRequest([entry], 10_000, False)
    answer = await connection.ask(connection.anyone(), request)
    [(_, code, *_)] = answer.topic_errors
    if code != TopicAlreadyExistsError.errno:
        assert code == TopicAuthorizationFailedError.errno
        raise TopicAuthorizationFailedError


TRIALS: dict[str, Callable[[Connection, TopicPartition], Awaitable[None]]] = {
    "read": read,
    "write": write,
    "delete": delete,
    "create": make,
}


@pytest.fixture(scope="module")
def place(kafka: Guarded) -> Place:
    place = Place(kafka)
    kafka.grant(place.prefix, archive=True)
    assert set(asyncio.run(place.make("ao-topics"))) == {"created"}
    return place


@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_do_what_the_page_says_and_nothing_else(place: Place, user: str) -> None:
    assert await place.rights(user) == TABLE[user]
    assert await place.states(user) == {"ok"}


async def test_who_makes_topics_may_do_so_again(place: Place) -> None:
    assert set(await place.make("ao-topics")) == {"ok"}


async def test_without_an_archive_nobody_deletes(kafka: Guarded) -> None:
    place = Place(kafka)
    kafka.grant(place.prefix)
    await place.make(ADMIN)
    for user in USERS:
        expected = {(name, right) for name, right in TABLE[user] if right != "delete"}
        assert await place.rights(user) == expected


@asynccontextmanager
async def opened(place: Place, user: str) -> AsyncGenerator[KafkaLog]:
    log = KafkaLog(place.settings(user), PLANNED, seconds=5)
    try:
        await log.start()
        yield log
    finally:
        await log.stop()


async def test_what_is_refused_is_explained(kafka: Guarded, place: Place) -> None:
    async with opened(place, "ao-server") as log:
        with pytest.raises(Unavailable, match=r"appending to .*events/0: Kafka refuses it to"):
            await log.append("events", 0, [Record(b"tenant", b"value")])
    elsewhere = Place(kafka)
    await elsewhere.make(ADMIN)
    with pytest.raises(Unavailable, match="Kafka refuses it to this user") as error:
        async with opened(elsewhere, "ao-processor"):
            raise AssertionError("it was let in")
    assert error.value.code == FORBIDDEN


async def test_nobody_sees_the_groups_of_another_installation(kafka: Guarded, place: Place) -> None:
    elsewhere = Place(kafka)
    await elsewhere.make(ADMIN)
    async with connected(elsewhere.settings(ADMIN)) as connection:
        there = TopicPartition(f"{elsewhere.prefix}commands", 0)
        await Positions(connection).commit(elsewhere.prefix + GROUP, {there: (0, "")})
        assert await list_groups(connection, elsewhere.prefix)
    async with connected(place.settings("ao-checks")) as connection:
        assert await list_groups(connection, elsewhere.prefix) == []
