"""Topics of a test's own on a cluster that others use too."""

import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import LeaderNotAvailableError
from aiokafka.protocol.admin import CreateTopicsRequest, DeleteTopicsRequest

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.connection import Connection, connected
from agent_orchestration.backends.log.kafka.metadata import FoundTopic, find_topics
from agent_orchestration.backends.log.kafka.topics import configured, create, plan
from agent_orchestration.config_kafka import Kafka


class KafkaTopics:
    """The topics whose names begin with the prefix in `settings`."""

    def __init__(self, settings: Kafka, connection: Connection) -> None:
        self.settings = settings
        self.connection = connection
        self._made: set[str] = set()

    async def make(self, topics: Sequence[Topic]) -> None:
        """Make those that are missing."""
        planned = plan(configured(topics, self.settings), self.settings, production=False)
        await create(self.connection, planned)
        self._made |= {one.name for one in planned}

    async def log(self, topics: Sequence[Topic], **options: Any) -> KafkaLog:
        """A log on the topics, not yet started."""
        await self.make(topics)
        return KafkaLog(self.settings, topics, **options)

    async def make_with_other_tools(self, topic: Topic) -> None:
        """Make one topic as Kafka's own tools would."""
        [one, _] = plan([topic], self.settings, production=False)
        entry: Any = (one.name, topic.partitions, 1, [], list(one.settings.items()))
        request = CreateTopicsRequest([entry], 10_000, False)
        answer = await self.connection.ask(self.connection.anyone(), request)
        assert [code for _, code, *_ in answer.topic_errors] == [0]
        await self._until(lambda found: one.name in found, one.name)

    async def delete(self, *names: str) -> None:
        """Delete topics by their names on the cluster."""
        request = DeleteTopicsRequest(list(names), 10_000)
        answer = await self.connection.ask(self.connection.anyone(), request)
        assert {code for _, code in answer.topic_error_codes} <= {0}
        await self._until(lambda found: not found, *names)

    async def _until(self, condition: Callable[[dict[str, FoundTopic]], bool], *names: str) -> None:
        """The brokers learn of it one after the other."""

        async def look() -> None:
            if not condition(await find_topics(self.connection, list(names))):
                raise LeaderNotAvailableError

        await self.connection.retrying(look, "waiting for the topics")

    async def delete_all(self) -> None:
        """Delete what was made."""
        if self._made:
            await self.delete(*self._made)


@asynccontextmanager
async def own_topics(bootstrap_servers: str, **settings: Any) -> AsyncGenerator[KafkaTopics]:
    """Topics with a prefix that nobody else has; deleted in the end."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    kafka = Kafka(bootstrap_servers=bootstrap_servers, prefix=prefix, **settings)
    async with connected(kafka, "tests", 30) as connection:
        topics = KafkaTopics(kafka, connection)
        yield topics
        await topics.delete_all()
