"""The positions of consumer groups, as Kafka keeps them: an offset and some text for each."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import check

_LANE = "groups"


class Positions:
    """Reads and writes positions without being a member of the group."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._coordinators: dict[str, int] = {}

    async def commit(self, group: str, positions: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Set positions. Kafka refuses this while the group has members: raises `Unavailable`."""
        topics = _by_topic((place, *position) for place, position in positions.items())
        request = OffsetCommitRequest(group, -1, "", -1, topics)
        await self._ask(group, request, f"setting positions of group {group}")

    async def committed(
        self, group: str, places: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, tuple[int, str]]:
        """Those of the places that have a position, and (offset, text); by default all there are.
        Raises `Unavailable`."""
        topics = None if places is None else _by_topic((place,) for place in places)
        request = OffsetFetchRequest(
            group, topics and [(topic, [p for (p,) in its]) for topic, its in topics]
        )
        answer = await self._ask(group, request, f"reading positions of group {group}")
        return {
            TopicPartition(topic, partition): (offset, text)
            for topic, partitions in answer.topics
            for partition, offset, text, _ in partitions
            if offset >= 0
        }

    async def _ask(self, group: str, request: Any, doing: str) -> Any:
        async def attempt() -> Any:
            try:
                if group not in self._coordinators:
                    self._coordinators[group] = await self._connection.coordinator(group)
                answer = await self._connection.ask(self._coordinators[group], request, _LANE)
                for code in _codes(answer):
                    check(code)
            except KafkaError:
                self._coordinators.pop(group, None)
                raise
            return answer

        return await self._connection.retrying(attempt, doing)


def _codes(answer: Any) -> list[int]:
    """All error codes of an answer: the last field of each partition's, and its own."""
    codes = [entry[-1] for _, partitions in answer.topics for entry in partitions]
    return [*codes, getattr(answer, "error_code", 0)]


def _by_topic(entries: Iterable[tuple[Any, ...]]) -> list[tuple[str, list[Any]]]:
    """[(topic, [(partition, more…)])] as the requests want it."""
    topics: dict[str, list[Any]] = {}
    for place, *more in entries:
        topics.setdefault(place.topic, []).append((place.partition, *more))
    return list(topics.items())
