"""A plain Kafka consumer, of another library than the platform's."""

from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from tests.e2e.log_entities import Record

SECONDS = 60.0


def messages(bootstrap_servers: str, topic: str) -> Iterator[Message]:
    """All that a topic has now, by partition and offset."""
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "reader",
        "enable.auto.commit": False,
    }
    consumer = Consumer(settings)
    try:
        for number in sorted(consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions):
            place = TopicPartition(topic, number, OFFSET_BEGINNING)
            _, end = consumer.get_watermark_offsets(place, timeout=SECONDS)
            consumer.assign([place])
            following = 0
            while following < end:
                for message in consumer.consume(min(end - following, 1000), timeout=SECONDS):
                    assert message.error() is None, message.error()
                    following = (message.offset() or 0) + 1
                    yield message
    finally:
        consumer.close()


def headers(message: Message) -> dict[str, str]:
    """The headers as text; each occurs once."""
    listed: Any = message.headers() or []
    found = {name: value.decode() for name, value in listed}
    assert len(found) == len(listed)
    return found


def read_topic(bootstrap_servers: str, topic: str) -> Iterator[Record]:
    """All records that a topic has now, by partition and offset."""
    for message in messages(bootstrap_servers, topic):
        value, partition, offset = message.value(), message.partition(), message.offset()
        assert isinstance(value, bytes)
        assert partition is not None
        assert offset is not None
        yield Record(partition, offset, message.timestamp()[1], value, headers(message))
