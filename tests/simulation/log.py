"""A simulated log: a broker that is shared, and each process's unreliable way to it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log import (
    Assigned,
    LogLost,
    OutcomeUnknown,
    Position,
    Stamp,
    Topic,
)
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, topics
from tests.simulation.faults import APPEND, COMMIT, READ, Faults
from tests.simulation.loop import Loop
from tests.simulation.process import EPOCH_MS, Process

PARTITIONS = 2
EPOCH = 1
#: Milliseconds, on average, of one way to the broker and of an fsync.
WAY_MS = 2.0


class Broker:
    """The records, the committed positions, and who waits for more."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.topics = {
            topic.name: msgspec.structs.replace(topic, partitions=PARTITIONS, view_of=None)
            for topic in topics(REGISTRY)
        }
        self.records: defaultdict[tuple[str, int], list[StoredRecord]] = defaultdict(list)
        self.committed: dict[tuple[str, str, int], int] = {}
        self.owners: dict[int, Process] = {}
        self.skew = 0
        self.outage = False
        #: What happened, for people.
        self.trace: list[str] = []
        #: When each record of `commands` really was appended, in seconds.
        self.commanded_at: defaultdict[int, list[float]] = defaultdict(list)
        self._waiting: defaultdict[tuple[str, int], list[asyncio.Future[None]]] = defaultdict(list)

    def say(self, text: str) -> None:
        """Add to what happened."""
        self.trace.append(f"{self.loop.now:9.3f} {text}")

    def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """Append them with the broker's own time; wakes who waits."""
        log = self.records[topic, partition]
        at = EPOCH_MS + round(self.loop.now * 1000) + self.skew
        stamps = [Stamp(len(log) + number, at) for number in range(len(records))]
        for stamp, one in zip(stamps, records, strict=True):
            stored = StoredRecord(
                topic, partition, stamp.offset, at, one.key, one.value, dict(one.headers)
            )
            log.append(stored)
        if topic == COMMANDS:
            self.commanded_at[partition] += [self.loop.now] * len(records)
        waiting = self._waiting.pop((topic, partition), [])
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return stamps

    def more(self, topic: str, partition: int) -> asyncio.Future[None]:
        """Done when something is appended."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting[topic, partition].append(future)
        return future


class SimulatedLog:
    """A `Log`: one process's way to the broker."""

    def __init__(
        self, broker: Broker, process: Process, faults: Faults, members: "Members"
    ) -> None:
        self._broker = broker
        self._process = process
        self._faults = faults
        self._members = members

    @property
    def epoch(self) -> int:
        return EPOCH

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def topics(self) -> Mapping[str, Topic]:
        return self._broker.topics

    async def _way(self) -> None:
        """One way over the network."""
        milliseconds = self._faults.draw.expovariate(1 / WAY_MS) * self._process.slowness
        await asyncio.sleep(milliseconds / 1000)
        if self._broker.outage:
            await asyncio.sleep(1.0)
            if self._broker.outage:
                raise Unavailable("log_unavailable", "the broker is away")

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        await self._way_in_doubt()
        fault = self._faults.one_of(APPEND)
        types = " ".join(
            f"{one.headers['ce_tenant']}:{one.headers['ce_type']}"
            for one in records
            if "ce_type" in one.headers
        )
        self._broker.say(f"{self._process.name} appends to {topic}/{partition}: {types} {fault}")
        if fault == "append_refused":
            raise Unavailable("log_unavailable", "not now")
        if fault == "crash_before_append":
            await self._process.die()
        if fault == "append_late":
            delay = self._faults.draw.uniform(0.01, 5.0)
            self._broker.loop.call_later(delay, self._broker.append, topic, partition, records)
        if fault in ("append_late", "append_lost"):
            raise OutcomeUnknown("outcome_unknown", "no acknowledgement")
        if topic == EVENTS and self._broker.owners.get(partition) is not self._process:
            self._faults.seen["zombie_append"] += 1
        stamps = self._broker.append(topic, partition, records)
        if fault == "append_twice":
            self._broker.append(topic, partition, records)
        if fault == "crash_after_append":
            await self._process.die()
        if fault == "append_acknowledged_late":
            await asyncio.sleep(self._faults.draw.uniform(1.0, 20.0))
        await self._way_in_doubt()
        if fault == "append_unacknowledged":
            raise OutcomeUnknown("outcome_unknown", "the acknowledgement was lost")
        return stamps

    async def _way_in_doubt(self) -> None:
        try:
            await self._way()
        except Unavailable as error:
            raise OutcomeUnknown("outcome_unknown", error.reason) from None

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        await self._way()
        if self._faults.one_of(READ):
            raise Unavailable("log_unavailable", "not now")
        records = self._broker.records[topic, partition]
        if offset > len(records):
            raise LogLost("log_lost", f"{topic}/{partition}: {offset} is beyond {len(records)}")
        # A fetch brings what has arrived, not all that one would take.
        some = self._faults.draw.choice((1, 3, 10, limit))
        return records[offset : offset + min(limit, some)]

    async def wait(self, topic: str, partition: int, offset: int, seconds: float) -> bool:
        if len(self._broker.records[topic, partition]) <= offset:
            try:
                async with asyncio.timeout(seconds):
                    await self._broker.more(topic, partition)
            except TimeoutError:
                return False
        return True

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        await self._way()
        end = len(self._broker.records[topic, partition])
        await self._way()
        return 0, end

    async def check(self) -> None:
        raise NotImplementedError

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        raise NotImplementedError

    async def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        await self._way()
        fault = self._faults.one_of(COMMIT)
        if fault == "crash_before_commit":
            await self._process.die()
        if fault == "commit_lost":
            raise Unavailable("log_unavailable", "not committed")
        self._broker.committed[group, topic, partition] = offset
        if fault == "crash_after_commit":
            await self._process.die()
        await self._way()

    async def committed(self, group: str, topic: str, partition: int) -> Position | None:
        await self._way()
        offset = self._broker.committed.get((group, topic, partition))
        return None if offset is None else (EPOCH, offset)

    async def join(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Assigned
    ) -> None:
        self._members.join(self._process, assigned, revoked)

    async def leave(self, group: str) -> None:
        await self._members.leave(self._process)

    async def member_rules(self, group: str) -> Sequence[int]:
        return ()


class Member:
    """A process's membership: what it was told that it owns."""

    def __init__(self, process: Process, assigned: Assigned, revoked: Assigned) -> None:
        self.process = process
        self.assigned = assigned
        self.revoked = revoked
        self.owned: frozenset[int] = frozenset()
        self.expelled = False
        self.busy = False


class Members:
    """The group: gives each partition to one member, and takes it away from the silent.

    A member that was paused for longer than its session learns late that it owns nothing more.
    """

    SESSION_SECONDS = 6.0

    def __init__(self, broker: Broker, faults: Faults) -> None:
        self._broker = broker
        self._faults = faults
        self._members: list[Member] = []

    def join(self, process: Process, assigned: Assigned, revoked: Assigned) -> None:
        """A new member."""
        self._members.append(Member(process, assigned, revoked))

    async def leave(self, process: Process) -> None:
        """A member goes; it is told first."""
        for member in [one for one in self._members if one.process is process]:
            self._members.remove(member)
            if member.owned:
                await self._take_away(member, member.owned)

    async def coordinate(self) -> None:
        """Keep the partitions with the members that are there."""
        while True:
            await asyncio.sleep(0.5)
            self._members = [one for one in self._members if one.process.alive]
            for member in self._members:
                self._look_after(member)
            self._balance()

    def _look_after(self, member: Member) -> None:
        process = member.process
        if process.paused:
            silent = self._broker.loop.now - process.paused_at
            member.expelled = member.expelled or silent > self.SESSION_SECONDS
        elif member.expelled and not member.busy:
            member.busy = True
            process.spawn(self._rejoin(member), "rejoin")

    async def _rejoin(self, member: Member) -> None:
        await asyncio.sleep(self._faults.draw.uniform(0.0, 3.0))
        await self._take_away(member, member.owned)
        member.expelled = member.busy = False

    def _balance(self) -> None:
        present = [one for one in self._members if not one.expelled]
        if not present:
            return
        wanted = {number: present[number % len(present)] for number in range(PARTITIONS)}
        for member in present:
            share = frozenset(n for n, one in wanted.items() if one is member)
            held = frozenset[int]().union(*(one.owned for one in present if one is not member))
            if member.busy:
                continue
            if gone := member.owned - share:
                member.busy = True
                member.process.spawn(self._release(member, gone), "revoke")
            elif new := share - member.owned - held:
                member.owned |= new
                for number in new:
                    self._broker.owners[number] = member.process
                self._faults.seen["takeover"] += len(new)
                member.process.spawn(self._assign(member, new), "assign")

    @staticmethod
    async def _assign(member: Member, new: frozenset[int]) -> None:
        await member.assigned(new)

    async def _release(self, member: Member, gone: frozenset[int]) -> None:
        await self._take_away(member, gone)
        member.busy = False

    async def _take_away(self, member: Member, gone: frozenset[int]) -> None:
        await member.revoked(gone)
        member.owned -= gone
