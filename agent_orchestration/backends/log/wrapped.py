"""A log around another one, for those that change some of its methods."""

from collections.abc import Mapping, Sequence

from agent_orchestration.backends.log import Assigned, Log, Position, Stamp, Topic
from agent_orchestration.core.envelope import Record, StoredRecord


class WrappedLog:
    """A `Log` that passes everything on to the log that it wraps."""

    def __init__(self, log: Log) -> None:
        self._log = log

    @property
    def inner(self) -> Log:
        """The log that all is wrapped around, which shows records as they are kept."""
        return self._log.inner if isinstance(self._log, WrappedLog) else self._log

    @property
    def epoch(self) -> int:
        """The wrapped log's."""
        return self._log.epoch

    async def start(self) -> None:
        """Opens the wrapped log."""
        await self._log.start()

    async def stop(self) -> None:
        """Closes the wrapped log."""
        await self._log.stop()

    async def check(self) -> None:
        """As the wrapped log."""
        await self._log.check()

    def topics(self) -> Mapping[str, Topic]:
        """The wrapped log's."""
        return self._log.topics()

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """As the wrapped log."""
        return await self._log.append(topic, partition, records)

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """As the wrapped log."""
        return await self._log.read(topic, partition, offset, limit)

    async def wait(self, topic: str, partition: int, offset: int, seconds: float) -> bool:
        """As the wrapped log."""
        return await self._log.wait(topic, partition, offset, seconds)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """As the wrapped log."""
        return await self._log.bounds(topic, partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """As the wrapped log."""
        await self._log.delete_before(topic, partition, offset)

    async def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """As the wrapped log."""
        await self._log.commit(group, topic, partition, offset)

    async def committed(self, group: str, topic: str, partition: int) -> Position | None:
        """As the wrapped log."""
        return await self._log.committed(group, topic, partition)

    async def join(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Assigned
    ) -> None:
        """As the wrapped log."""
        await self._log.join(group, topics, assigned, revoked)

    async def leave(self, group: str) -> None:
        """As the wrapped log."""
        await self._log.leave(group)

    async def member_rules(self, group: str) -> Sequence[int]:
        """As the wrapped log."""
        return await self._log.member_rules(group)
