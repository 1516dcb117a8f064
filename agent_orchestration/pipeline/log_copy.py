"""Filling an empty log from another one: the histories of all tenants, the commands that nobody
decided yet, and the blobs that both name. Each event stays as it was, with its `seq` and its place
in the chain; what changes are partitions, offsets, and the log's own times.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from agent_orchestration.backends.blobs import BlobStore
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.copy_mark import CopyTarget
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import EventEnvelope, Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, NotFound, Rejected
from agent_orchestration.core.types import BLOB_KEY
from agent_orchestration.pipeline.histories import Histories, batches, event_of
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP
from agent_orchestration.pipeline.waiting_commands import CommandId, WaitingCommands

#: A large field's reference, as JSON text within the JSON of a command or an event.
_REFERENCE = re.compile(
    rb'"\{\\"' + re.escape(BLOB_KEY).encode() + rb'\\":\\"([0-9a-f]{64})\\",\\"bytes\\":\d+\}"'
)

Told = Callable[[str, int, int], None]
"""Told what is being done ("copying", "checking"), the records done, and how many there are."""


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


class CopySide(msgspec.Struct, frozen=True):
    """A log whose values are whole, and the blobs beside it."""

    log: Log
    blobs: BlobStore


class LogCopied(msgspec.Struct, frozen=True):
    """What the target has now: `tenants`, `events`, `commands` to be decided there, `blobs`.

    `found` of the events were there already, from a copy that was interrupted. Left behind:
    `repeated` events, `unreadable` records, and `missing_blobs`, which the source lacks.
    """

    tenants: int
    events: int
    found: int
    commands: int
    blobs: int
    repeated: int
    unreadable: int
    missing_blobs: list[str]


async def copy_log(
    source: CopySide,
    target: CopySide,
    quiet: Callable[[], Awaitable[None]],
    told: Told = _silent,
) -> LogCopied:
    """Fill the target's log, which is opened for this and closed again, from the source's, which is
    open. Until all of it is there nobody else can open the target; repeating it goes on.

    `quiet` raises where somebody else is at work on one of them. Raises `Rejected` for a target
    that has records of its own, and where the source went on meanwhile; `Corrupt` for a history
    that cannot be folded and for a target that holds something else; what logs and blobs raise.
    """
    log = target.log.inner if isinstance(target.log, WrappedLog) else target.log
    if not isinstance(log, CopyTarget):
        raise TypeError(f"{type(log).__name__} cannot be filled")
    await quiet()
    try:
        await log.start_copy(source.log.epoch)
        copied = await _Copy(source, target, told).run()
        await quiet()
        await log.end_copy()
    finally:
        await log.stop()
    return copied


class _Copy:
    def __init__(self, source: CopySide, target: CopySide, told: Told) -> None:
        self._source = source.log
        self._target = target.log
        self._blobs = _Blobs(source.blobs, target.blobs)
        self._told = told
        self._count = target.log.topics()[EVENTS].partitions
        self._histories = Histories()
        self._waiting = WaitingCommands(source.log)
        self._ends: dict[int, int] = {}
        self._found = self._repeated = self._unreadable = 0

    async def run(self) -> LogCopied:
        await self._waiting.look()
        await self._copy_events(await self._there())
        commands = await self._copy_commands()
        await self._check()
        last = self._histories.last
        return LogCopied(
            tenants=len(last),
            events=sum(seq for seq, _ in last.values()),
            found=self._found,
            commands=commands,
            blobs=len(self._blobs.copied),
            repeated=self._repeated,
            unreadable=self._unreadable + self._waiting.unreadable,
            missing_blobs=sorted(self._blobs.missing),
        )

    async def _there(self) -> Histories:
        """The histories in the target."""
        there = Histories()
        total = await _size(self._target, EVENTS)
        done = 0
        for partition in range(self._count):
            async for records in batches(self._target, EVENTS, partition):
                for record in records:
                    event = event_of(record)
                    if event is None or partition_of(event.tenant, self._count) != partition:
                        raise _other(f"{EVENTS}/{partition} at {record.offset} was not copied")
                    there.follow(event)
                done += len(records)
                self._told("checking", done, total)
        return there

    async def _copy_events(self, there: Histories) -> None:
        total = await _size(self._source, EVENTS)
        done = 0
        for partition in range(self._source.topics()[EVENTS].partitions):
            self._ends[partition] = (await self._source.bounds(EVENTS, partition))[1]
            async for records in batches(self._source, EVENTS, partition):
                await self._append(EVENTS, [r for r in records if self._is_needed(r, there)])
                done += len(records)
                self._told("copying", done, total)

    def _is_needed(self, record: StoredRecord, there: Histories) -> bool:
        """Whether the record goes on with its tenant's history in the target."""
        event = event_of(record)
        if event is None:
            self._unreadable += 1
            return False
        if not self._histories.follow(event):
            self._repeated += 1
            return False
        self._check_position(event)
        self._waiting.note(event)
        if event.seq > there.seq(event.tenant):
            return True
        self._found += 1
        if event.seq == there.seq(event.tenant) and there.last[event.tenant][1] != event.digest:
            raise _other(f"tenant {event.tenant} has another event {event.seq}")
        return False

    def _check_position(self, event: EventEnvelope) -> None:
        # Commands of the target have to lie beyond every position that its events bear, or they
        # would count as decided.
        if event.command_position[0] >= self._target.epoch:
            reason = f"event {event.id} is of a later epoch than the target ({self._target.epoch})"
            raise Corrupt("log_epoch", f"{reason}: set this machine's clock, and repeat")

    async def _append(self, topic: str, records: Iterable[StoredRecord]) -> None:
        """Blobs first: no record ever names one that is not there."""
        by_partition: defaultdict[int, list[Record]] = defaultdict(list)
        for record in records:
            await self._blobs.copy_named(record)
            number = partition_of(record.key.decode(), self._count)
            copied = Record(record.key, record.value, dict(record.headers))
            by_partition[number].append(copied)
        for number, its in sorted(by_partition.items()):
            await self._target.append(topic, number, its)

    async def _copy_commands(self) -> int:
        """The number of commands that wait in the target."""
        there = await self._commands_there()
        wanted = {_name(r) async for records in self._waiting.records() for r in records}
        # Checked first: the target would decide for a second time what the source has decided.
        if surplus := there - wanted:
            raise Rejected(
                "source_went_on",
                f"the source decided {len(surplus)} commands since the interrupted copy, which has"
                " them too: make the target anew, and copy again",
            )
        async for records in self._waiting.records():
            await self._append(COMMANDS, [r for r in records if _name(r) not in there])
        # A log may forget old commands that no group has still to read.
        for partition in range(self._count):
            await self._target.commit(GROUP, COMMANDS, partition, 0)
        return len(wanted)

    async def _commands_there(self) -> set[CommandId]:
        found: set[CommandId] = set()
        for partition in range(self._count):
            async for records in batches(self._target, COMMANDS, partition):
                found.update(map(_name, records))
        return found

    async def _check(self) -> None:
        """The target has what the source has, and that did not grow meanwhile."""
        there = (await self._there()).last
        for tenant in sorted(there.keys() | self._histories.last.keys()):
            if there.get(tenant) != (wanted := self._histories.last.get(tenant)):
                raise _other(f"tenant {tenant}: {there.get(tenant)} is not {wanted} of the source")
        ends = [(await self._source.bounds(EVENTS, number))[1] for number in self._ends]
        if ends != list(self._ends.values()) or not await self._waiting.unchanged():
            raise Rejected(
                "source_active",
                "the source went on while it was copied: stop all that use it, and repeat",
            )


class _Blobs:
    """Copies blobs, each once."""

    def __init__(self, source: BlobStore, target: BlobStore) -> None:
        self._source = source
        self._target = target
        #: The tenants and digests of those that were copied.
        self.copied: set[tuple[str, str]] = set()
        self.missing: set[str] = set()

    async def copy_named(self, record: StoredRecord) -> None:
        """Copy the blobs that a command or event names. One that the source lacks is noted: nobody
        could read it there either, and it may be a text of somebody's that only looks like one."""
        tenant = record.key.decode()
        source, target = self._source.of(tenant), self._target.of(tenant)
        named = {(tenant, found.decode()) for found in _REFERENCE.findall(record.value)}
        for one in named - self.copied:
            try:
                await target.put(await source.get(one[1]))
            except NotFound:
                self.missing.add(one[1])
            else:
                self.copied.add(one)


def _name(record: StoredRecord) -> CommandId:
    return record.headers.get("ce_tenant", ""), record.headers.get("ce_id", "")


async def _size(log: Log, topic: str) -> int:
    partitions = range(log.topics()[topic].partitions)
    bounds = [await log.bounds(topic, partition) for partition in partitions]
    return sum(end - first for first, end in bounds)


def _other(what: str) -> Corrupt:
    return Corrupt("other_copy", f"the target is no copy of the source: {what}; make it anew")
