"""The log on Apache Kafka."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import (
    Assigned,
    Position,
    Stamp,
    Topic,
    common_count,
    declared,
    log_lost,
)
from agent_orchestration.backends.log.kafka import epoch
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.epoch import Epochs
from agent_orchestration.backends.log.kafka.groups import client_id, find_group
from agent_orchestration.backends.log.kafka.membership import Membership, only_after
from agent_orchestration.backends.log.kafka.metadata import find_topics
from agent_orchestration.backends.log.kafka.positions import Positions
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.backends.log.kafka.topics import (
    configured,
    delete_before,
    describe,
    plan,
    refuse_count,
    refuse_missing,
    refuse_unusable,
)
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable

logger = logging.getLogger(__name__)


class KafkaLog:
    """A `Log` on a Kafka cluster, whose topics `topics create` has made.

    Acknowledged records are on all in-sync replicas: they survive the death of brokers, and the
    loss of power where replicas do not lose it together. `rules` is the number that other members
    of the group see, `seconds` the limit of each operation. Raises `Rejected` for
    settings that contradict each other.
    """

    def __init__(
        self,
        settings: Kafka,
        topics: Iterable[Topic],
        *,
        production: bool = False,
        rules: int = 0,
        seconds: float = 20.0,
    ) -> None:
        self.epoch = 0
        self._prefix = settings.prefix
        self._topics = {topic.name: topic for topic in configured(topics, settings)}
        self._plan = plan(self._topics.values(), settings, production=production)
        self._session_ms = settings.session_timeout_ms
        self._connection = Connection(settings, client_id(rules), seconds)
        self._appender = Appender(self._connection)
        self._reader = Reader(self._connection, {p.name: p.topic.name for p in self._plan})
        self._positions = Positions(self._connection)
        self._members: dict[str, Membership] = {}
        self._epochs: Epochs | None = None

    async def start(self) -> None:
        """Connect, and see that the topics are as they must be.

        Raises `Unavailable`, `Rejected` where topics are missing or unusable or the log is not
        whole, `Corrupt` where they were made anew since the epoch began.
        """
        await self._start(lambda epochs: epochs.checked())

    async def start_reading(self) -> None:
        """Open it to read what there is, whatever it is to be: where a topic has partitions too
        many, those are left alone. Raises `Unavailable`, `Rejected` where topics are missing."""
        await self._start(lambda epochs: epochs.newest(), as_it_is=True)

    async def start_copy(self, source: int) -> None:
        """See `CopyTarget`."""

        async def begin(epochs: Epochs) -> int:
            places = [
                self._place(name, partition)
                for name in epoch.COVERED
                for partition in range(self._topics[name].partitions)
            ]
            bounds = [await self._reader.bounds(place) for place in places]
            return await epochs.begin_copy(source, empty=all(end == 0 for _, end in bounds))

        await self._start(begin)

    async def end_copy(self) -> None:
        """See `CopyTarget`."""
        await self._opened_epochs().finish()

    async def start_import(self, topic: str) -> None:
        """See `ImportTarget`."""
        await self._start(lambda epochs: epochs.checked(f"{epoch.IMPORT} {topic}"))

    async def begin_import(self, topic: str) -> None:
        """See `ImportTarget`."""
        if topic in epoch.COVERED:
            await self._opened_epochs().wait_for(f"{epoch.IMPORT} {topic}")

    async def end_import(self, topic: str) -> None:
        """See `ImportTarget`."""
        await self._opened_epochs().wait_for(epoch.RENEWAL, f"{epoch.IMPORT} {topic}")

    async def start_renewal(self) -> bool:
        """See `RenewableLog`."""
        found: list[epoch.Epoch] = []

        async def last(epochs: Epochs) -> int:
            found.append(await epochs.to_renew())
            return found[0].number

        await self._start(last)
        return bool(found[0].unfinished)

    async def holds(self, topic: str, epoch: int) -> bool:
        """See `RenewableLog`."""
        return await self._opened_epochs().holds(topic, epoch)

    async def begin_epoch(self) -> None:
        """See `RenewableLog`."""
        self.epoch = await self._opened_epochs().renew()

    async def end_epoch(self, missing: Sequence[Mapping[str, Any]]) -> None:
        """See `RenewableLog`."""
        await self._opened_epochs().finish(missing)

    def _opened_epochs(self) -> Epochs:
        if self._epochs is None:
            raise _closed()
        return self._epochs

    async def _start(
        self, number: Callable[[Epochs], Awaitable[int]], *, as_it_is: bool = False
    ) -> None:
        await self._connection.start()
        try:
            if not as_it_is:
                await self._check_topics()
            await self._connection.watch(planned.name for planned in self._plan)
            self._epochs = await self._find_epochs()
            self.epoch = await number(self._epochs)
        except BaseException:
            await self.stop()
            raise

    async def _find_epochs(self) -> Epochs:
        """With the covered topics as they are now."""
        names = {planned.name: planned.topic.name for planned in self._plan}
        found = await find_topics(self._connection, list(names))
        refuse_missing([name for name in names if name not in found])
        by_name = {names[name]: topic for name, topic in found.items()}
        return Epochs(self._reader, self._appender, self._place(epoch.TOPIC.name, 0), by_name)

    async def check(self) -> None:
        """See that the topics are those that it was opened with, and as many partitions. Raises
        `Corrupt` and `Rejected` as `start`, `Unavailable`."""
        epochs = await self._find_epochs()
        for name, count in epochs.counts.items():
            refuse_count(self._topics[name], count)
        number = await epochs.checked()
        if number != self.epoch:
            reason = (
                f"the log began epoch {number}, and this process is of {self.epoch}: restart it"
            )
            raise Corrupt("log_replaced", reason)

    async def _check_topics(self) -> None:
        reports = await describe(self._connection, self._plan)
        refuse_unusable(reports, self._plan)
        for report in reports:
            if report.drift:
                logger.warning("topic %s is not as planned: %s", report.name, report.drift)

    async def stop(self) -> None:
        """Leave all groups and disconnect; waits in progress end with False."""
        for group in list(self._members):
            await self.leave(group)
        await self._reader.stop()
        await self._connection.stop()

    def topics(self) -> Mapping[str, Topic]:
        """The topics by name, without the prefix that they have on the cluster."""
        return self._topics

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """Append all records in order. Up to `appender.BATCH_BYTES` they are one batch, written
        whole or not at all; of more, a beginning may be what is there after `OutcomeUnknown`."""
        place = self._open(topic, partition)
        return await self._appender.append(place, records) if records else []

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """At most `limit` records from `offset` on; none only at the end, as it was then. Raises
        `LogLost` outside the bounds, `Unavailable`, `Corrupt`."""
        return await self._reader.read(self._open(topic, partition), offset, limit)

    async def wait(self, topic: str, partition: int, offset: int, seconds: float) -> bool:
        """Wait until a record at `offset` or beyond exists. Raises `Unavailable`, and `LogLost`
        where the log ends earlier than it did."""
        return await self._reader.wait(self._open(topic, partition), offset, seconds)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(offset of the first record kept, offset the next append will get), asked anew."""
        return await self._reader.bounds(self._open(topic, partition))

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records before an offset; readers see it at once, the disk in a while."""
        place = self._open(topic, partition)
        first, end = await self._reader.bounds(place)
        if offset > end:
            raise log_lost(topic, partition, offset, first, end)
        if offset > first:
            await delete_before(self._connection, place, offset)

    async def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Remember a group's position. As a member of the group it is refused with `Unavailable`
        once the partition belongs to another one."""
        place, text = self._open(topic, partition), str(self.epoch)
        member = self._members.get(group)
        if member is not None:
            await member.commit(place, offset, text)
        else:
            await self._positions.commit(self._prefix + group, {place: (offset, text)})

    async def committed(self, group: str, topic: str, partition: int) -> Position | None:
        """The group's position and the epoch it was committed in. One that was set with Kafka's own
        tools, which know no epoch, counts for this one."""
        place = self._open(topic, partition)
        found = await self._positions.committed(self._prefix + group, [place])
        if place not in found:
            return None
        offset, text = found[place]
        return (int(text) if text.isdecimal() else self.epoch), offset

    async def join(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Assigned
    ) -> None:
        """Become a member of the group; returns after the first assignment, which may be empty.

        With every change of members all partitions are revoked and assigned anew. Raises
        `Unavailable`.
        """
        common_count(self._topics, topics)
        names = [self._open(topic, 0).topic for topic in topics]
        if group in self._members:
            reason = f"group {group} was joined already: leave it before joining again"
            raise Rejected("already_member", reason, field="group")
        member = Membership(
            self._connection.options,
            self._prefix + group,
            names,
            (only_after(self.check, assigned), revoked),
            self._session_ms,
        )
        self._members[group] = member
        try:
            await member.enter()
        except BaseException:
            self._members.pop(group, None)
            raise

    async def leave(self, group: str) -> None:
        """End the membership, if there is one; `revoked` is told first."""
        member = self._members.get(group)
        if member is not None:
            try:
                await member.leave()
            finally:
                self._members.pop(group, None)

    async def member_rules(self, group: str) -> Sequence[int]:
        """What the members' client ids say; 0 for a client that is not ours."""
        found = await find_group(self._connection, self._prefix + group)
        return [member.rules for member in found.members]

    def _open(self, topic: str, partition: int) -> TopicPartition:
        """The place on the cluster. Raises `NotFound`, and `Unavailable` when the log is closed."""
        declared(self._topics, topic, partition)
        if not self.epoch or not self._connection.is_open:
            raise _closed()
        return self._place(topic, partition)

    def _place(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._prefix + topic, partition)


def _closed() -> Unavailable:
    return Unavailable("log_closed", "the log is not open: start it first")
