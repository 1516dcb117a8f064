"""The log: topics of partitions of records, each with an offset and the log's own time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, NotFound, Rejected, Unavailable

Position = tuple[int, int]
"""(epoch of the log, offset of the next record to read)."""

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS


class Topic(msgspec.Struct, frozen=True):
    """A topic: what it carries, how many partitions, how long records are kept (None: forever).

    With `types` it is a feed: the events of these types. `view_of` makes it a view on a log that
    has views: those records of another topic, with its partitions and offsets. A log without views
    hands it out with `view_of` None, and somebody has to publish the events there.
    """

    name: str
    carries: str
    partitions: int
    retention_ms: int | None
    view_of: str | None = None
    types: frozenset[str] = frozenset()


class Stamp(msgspec.Struct, frozen=True):
    """Where and when the log put a record; `timestamp` in milliseconds since the epoch."""

    offset: int
    timestamp: int


class LogLost(Corrupt):
    """A position lies before the log's start or beyond its end: records are missing."""


class OutcomeUnknown(Unavailable):
    """An append was not acknowledged: it may or may not have happened."""


def log_lost(topic: str, partition: int, position: int, first: int, end: int) -> LogLost:
    """The error for a position outside the records kept, `first` to `end`."""
    reason = (
        f"{topic}/{partition}: position {position} is outside the records kept, "
        f"{first} to {end}: records are missing; restore the log, or start a new epoch"
    )
    details = {"topic": topic, "partition": partition, "position": position}
    return LogLost("log_lost", reason, **details, first=first, end=end)


def declared(topics: Mapping[str, Topic], name: str, partition: int | None = None) -> Topic:
    """The topic of that name. Raises `NotFound` where there is none, or no such partition in it."""
    topic = topics.get(name)
    if topic is None:
        reason = f"no topic {name}: there are {', '.join(topics)}"
        raise NotFound("topic", reason, field="topic")
    if partition is not None and not 0 <= partition < topic.partitions:
        reason = f"no partition {partition} in topic {name}: it has {topic.partitions}, from 0"
        raise NotFound("partition", reason, field="partition")
    return topic


def common_count(topics: Mapping[str, Topic], names: Sequence[str]) -> int:
    """The number of partitions of each of the topics. Raises `Rejected` where they differ."""
    counts = {declared(topics, name).partitions for name in names}
    if len(counts) != 1:
        reason = f"{', '.join(names)} have {sorted(counts)} partitions: counts must be equal"
        raise Rejected("partitions_differ", reason, field="topics")
    return counts.pop()


Assigned = Callable[[frozenset[int]], Awaitable[None]]


class Log(Protocol):
    """The protocol of every log. Offsets of a partition count up from 0 without gaps or reuse."""

    @property
    def epoch(self) -> int:
        """Changes when the log was made anew; part of every position."""
        ...

    async def start(self) -> None:
        """Open the log. An embedded log creates missing topics; others say what is missing."""
        ...

    async def stop(self) -> None:
        """Close the log; waiting readers return."""
        ...

    async def check(self) -> None:
        """See that it is still the log that was opened. Raises what `start` raises."""
        ...

    def topics(self) -> Mapping[str, Topic]:
        """The topics by name."""
        ...

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """Append all records in order, in one step. Returns when they are as durable as the log
        promises. Raises `Unavailable` (nothing written) or `OutcomeUnknown`."""
        ...

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """At most `limit` records from `offset` on, ascending; none only at the end. Raises
        `LogLost` when `offset` is before the partition's first record or beyond its end."""
        ...

    async def wait(self, topic: str, partition: int, offset: int, seconds: float) -> bool:
        """Wait until a record at `offset` or beyond exists; False on time-out."""
        ...

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(offset of the first record kept, offset the next append will get)."""
        ...

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records before an offset, for good; the others keep theirs. None where that is
        at or before the first one. Raises `LogLost` beyond the end, `Unavailable`."""
        ...

    async def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Remember a group's position: the next offset to read. Raises `Unavailable` where the
        group has moved on and this process is none of its members any more."""
        ...

    async def committed(self, group: str, topic: str, partition: int) -> Position | None:
        """The group's position and the epoch it was committed in, None when there is none."""
        ...

    async def join(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Assigned
    ) -> None:
        """Become a member of the group: `assigned` and `revoked` are told the partitions owned
        from now on, and no longer; returns after the first `assigned`. An embedded log assigns
        all of them at once."""
        ...

    async def leave(self, group: str) -> None:
        """End the membership; `revoked` is told first."""
        ...

    async def member_rules(self, group: str) -> Sequence[int]:
        """The versions of the rules that the members of the group know, 0 for one that does not
        say; none where there are never others. Raises `Unavailable`."""
        ...
