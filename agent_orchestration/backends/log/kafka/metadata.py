"""A request that aiokafka lacks: topics with their ids, and none is made by asking for it.

Version 10 of Kafka's Metadata request, for brokers from 2.8 on. A topic's id is new when a topic is
deleted and made again; its name is not.
"""

from typing import Any

import msgspec
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import check

_TEXT = CompactString("utf-8")
# An id has 16 bytes: two halves need no type of their own.
_ID = (("id_high", Int64), ("id_low", Int64))
_TAGS = ("tags", TaggedFields)


class TopicIdsResponse(Response):
    """Brokers, and topics with their partitions."""

    API_KEY = 3  # type: ignore[assignment] (declared as a property there, and used as here)
    API_VERSION = 10  # type: ignore[assignment]
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS),
        ),
        ("cluster", _TEXT),
        ("controller", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                *_ID,
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("operations", Int32),
                _TAGS,
            ),
        ),
        ("operations", Int32),
        _TAGS,
    )


class _TopicIdsRequestV10(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = TopicIdsResponse
    SCHEMA = Schema(
        ("topics", CompactArray(*_ID, ("name", _TEXT), _TAGS)),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        _TAGS,
    )


class TopicIdsRequest(Request[_TopicIdsRequestV10]):
    """Asks for some topics by name."""

    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_TopicIdsRequestV10]) -> _TopicIdsRequestV10:
        """The request on the wire."""
        topics: list[Any] = [(0, 0, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})


class FoundTopic(msgspec.Struct, frozen=True):
    """A topic as the cluster has it. `id` has 32 hexadecimal digits; `replicas` is that of the
    partition that has the fewest."""

    name: str
    id: str
    partitions: int
    replicas: int


async def find_topics(connection: Connection, names: list[str]) -> dict[str, FoundTopic]:
    """Those of the topics that there are, by name. Raises `Unavailable`."""

    async def ask() -> Any:
        answer = await connection.ask(connection.anyone(), TopicIdsRequest(names))
        for code, *_ in answer.topics:
            if code != UnknownTopicOrPartitionError.errno:
                check(code)
        return answer

    answer = await connection.retrying(ask, f"looking for the topics {', '.join(names)}")
    return {
        name: FoundTopic(
            name,
            f"{high % 2**64:016x}{low % 2**64:016x}",
            len(partitions),
            min(len(replicas) for _, _, _, _, replicas, *_ in partitions),
        )
        for code, name, high, low, _, partitions, *_ in answer.topics
        if not code
    }
