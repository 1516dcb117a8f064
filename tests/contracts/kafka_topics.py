"""Topics of a test's own on a cluster that others use too."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.protocol.admin import DeleteTopicsRequest

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.log.kafka.connection import Connection
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

    async def delete(self, *names: str) -> None:
        """Delete topics by their names on the cluster."""
        request = DeleteTopicsRequest(list(names), 10_000)
        answer = await self.connection.ask(self.connection.anyone(), request)
        assert {code for _, code in answer.topic_error_codes} <= {0}

    async def delete_all(self) -> None:
        """Delete what was made."""
        if self._made:
            await self.delete(*self._made)


@asynccontextmanager
async def own_topics(bootstrap_servers: str, **settings: Any) -> AsyncGenerator[KafkaTopics]:
    """Topics with a prefix that nobody else has; deleted in the end."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    kafka = Kafka(bootstrap_servers=bootstrap_servers, prefix=prefix, **settings)
    connection = Connection(kafka, "tests", 30)
    await connection.start()
    topics = KafkaTopics(kafka, connection)
    try:
        yield topics
        await topics.delete_all()
    finally:
        await connection.stop()
