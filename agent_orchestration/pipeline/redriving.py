"""Bringing back what was set aside: quarantined tenants, and records in `dead_letters`."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from agent_orchestration.backends.graph import (
    CheckpointMoved,
    WriteRefused,
    load_statements,
)
from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import EventEnvelope, Record, StoredRecord
from agent_orchestration.core.errors import Busy, Conflict, NotFound, Rejected
from agent_orchestration.core.folding import fold, tenant_row
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.histories import batches, event_of
from agent_orchestration.pipeline.loading import load_tenant
from agent_orchestration.pipeline.partitions import one_back, partition_of
from agent_orchestration.pipeline.rows import BatchRows
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS, DEAD_LETTERS, EVENTS

SECONDS = 60.0
#: So many events of a tenant come into the graph at once.
BATCH = 1000
#: So often it is tried again because the partition went on meanwhile, after pauses that are each so
#: much longer than the one before.
TRIES = 100
PAUSE_SECONDS = 0.002
#: Names the letter that a later one has settled, as `partition/offset`.
SETTLES = "settles"
_ORIGINAL = "original_"


class SetAside(msgspec.Struct, frozen=True):
    """A quarantined tenant: what there is of it in the graph ends with `seq`, and goes on in the
    log at `offset`."""

    tenant: str
    partition: int
    seq: int
    offset: int
    reason: str


class Letter(msgspec.Struct, frozen=True):
    """A record that nobody could read: `place` in `dead_letters`, `origin` where it came from, and
    when (milliseconds since the epoch)."""

    place: str
    origin: str
    at: int
    reason: str
    bytes: int


async def set_aside(services: Services) -> list[SetAside]:
    """The quarantined tenants. Raises what the graph does."""
    partitions = services.log.topics()[EVENTS].partitions
    rows = await services.graph.query(load_statements.QUARANTINED, {}, seconds=SECONDS)
    return [
        SetAside(
            row["id"],
            partition_of(row["id"], partitions),
            row["seq"],
            row["offset"],
            row["reason"],
        )
        for row in rows
    ]


async def letters(log: Log) -> list[tuple[Letter, StoredRecord]]:
    """What is in `dead_letters` and not settled. Raises what the log does."""
    found: dict[str, tuple[Letter, StoredRecord]] = {}
    for number in range(log.topics()[DEAD_LETTERS].partitions):
        async for records in batches(log, DEAD_LETTERS, number):
            for record in records:
                settled = record.headers.get(SETTLES)
                if settled is not None:
                    found.pop(settled, None)
                    continue
                place = f"{number}/{record.offset}"
                origin, reason = record.headers.get("origin", ""), record.headers.get("reason", "")
                size = len(record.value)
                found[place] = Letter(place, origin, record.timestamp, reason, size), record
    return list(found.values())


async def list_set_aside(services: Services) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.operations.ListSetAside`."""
    yield {
        "tenants": msgspec.to_builtins(await set_aside(services)),
        "letters": msgspec.to_builtins([letter for letter, _ in await letters(services.log)]),
    }


async def settle_letter(
    services: Services, place: str, give_up: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Submit a dead letter's command again, or give it up; for the yields see
    `core.operations.SettleLetter`. Raises `NotFound`, and `Rejected` for one that is no command:
    what is among the events and is none has done no harm, and can only be given up."""
    log = services.log
    found = {letter.place: (letter, record) for letter, record in await letters(log)}
    if place not in found:
        reason = f"place: no letter {place} waits in dead_letters; see `redrive list`"
        raise NotFound("no_letter", reason, field="place")
    letter, record = found[place]
    topic, _, rest = letter.origin.partition("/")
    if give_up is None and topic != COMMANDS:
        reason = f"place: {place} came from {letter.origin} and is no command: give it up"
        raise Rejected("no_command", reason, field="place")
    if give_up is None:
        headers = {
            name.removeprefix(_ORIGINAL): text
            for name, text in record.headers.items()
            if name.startswith(_ORIGINAL)
        }
        partition = int(rest.partition("/")[0])
        await log.append(topic, partition, [Record(record.key, record.value, headers)])
    headers = {SETTLES: place, "reason": give_up or "submitted again"}
    await log.append(DEAD_LETTERS, record.partition, [Record(record.key, b"", headers)])
    yield {"place": place, "origin": letter.origin, "given_up": give_up is not None}


class Redriving:
    """Folds what came for a quarantined tenant since; from then on it is like the others.

    `repaired` has the partition whose owner has to load anew.
    """

    def __init__(self, services: Services, tenant: str) -> None:
        self._services = services
        self._tenant = tenant
        #: Events that were read and are not in the graph yet, and where to read on.
        self._waiting: list[EventEnvelope] = []
        self._read_to = 0
        self.repaired: set[int] = set()

    async def run(self) -> AsyncGenerator[dict[str, Any], None]:
        """For the yields see `core.dispatch.Dispatcher` and `core.operations.Redrive`. Raises
        `NotFound` for a tenant that is not quarantined, `Conflict` where the graph still refuses
        its events, `Busy`."""
        done = tries = 0
        while found := [o for o in await set_aside(self._services) if o.tenant == self._tenant]:
            [aside] = found
            try:
                done += await self._go_on(aside)
                tries = 0
                yield {"phase": "redriving", "done": done, "total": None}
            except CheckpointMoved:
                tries += 1
                if tries >= TRIES:
                    reason = f"the partition of {self._tenant} never stood still: repeat it later"
                    raise Busy("never_still", reason, retry_after=60) from None
                await asyncio.sleep(tries * PAUSE_SECONDS)
            except WriteRefused as error:
                reason = f"tenant {self._tenant} stays quarantined at event {aside.seq + 1}"
                raise Conflict("still_refused", f"{reason}: {error.reason}") from error
        if not self.repaired:
            reason = f"tenant: {self._tenant} is not quarantined; see `redrive list`"
            raise NotFound("not_quarantined", reason, field="tenant")
        yield {"tenant": self._tenant, "events": done}

    async def _go_on(self, aside: SetAside) -> int:
        """Bring the next events into the graph, and end the quarantine with the last of them."""
        services, number = self._services, aside.partition
        held = await services.graph.position(number)
        assert held is not None, "it was written with a position"
        state = await load_tenant(services.graph, services.registry, self._tenant, decides=False)
        await self._read(aside, state, held[1])
        folded = [fold(services.registry, state, event) for event in self._waiting]
        rows = BatchRows()
        for _ in rows.add(self._tenant, folded):
            pass
        last = self._read_to >= held[1]
        state.quarantined = "" if last else aside.reason
        following = await one_back(services.log, number, held) if last else held
        write = rows.write(number, held, following)
        row = tenant_row(state, next_due(state) if last else None)
        write.nodes["Tenant"] = [row if last else {**row, "quarantined_offset": self._read_to}]
        await services.graph.write(write)
        if last:
            self.repaired.add(number)
        return len(folded)

    async def _read(self, aside: SetAside, state: TenantState, end: int) -> None:
        """Go on reading the tenant's events before an offset, up to a batch of them."""
        seq = state.seq
        self._read_to = max(self._read_to, aside.offset)
        self._waiting = [event for event in self._waiting if event.seq > seq]
        seq += len(self._waiting)
        async for records in batches(self._services.log, EVENTS, aside.partition, self._read_to):
            for record in records:
                if record.offset >= end or len(self._waiting) >= BATCH:
                    return
                event = event_of(record)
                if (
                    event is not None
                    and event.tenant == self._tenant
                    and event.seq > seq
                    and event.digest not in state.left_out
                ):
                    self._waiting.append(event)
                    seq = event.seq
                self._read_to = record.offset + 1
