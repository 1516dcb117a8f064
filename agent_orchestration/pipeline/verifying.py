"""Checking the histories in the log: that each event follows its predecessor in the tenant's chain,
and that a chain ends no earlier than the graph, and with the same event.

An event's digest covers its predecessor's digest, its content, type, time, author and command; that
of the last event is in the graph. Not covered, because nothing is decided or folded by it: what it
says of its cause and correlation, and of its command's offset more than that offsets grow.
"""

import asyncio
import time
from array import array
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from agent_orchestration.backends.graph import Graph, load_statements
from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord
from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.state import GENESIS
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS

#: Of more problems only the number is told.
MOST_PROBLEMS = 100
#: Hex digits of each digest that are kept for comparing repeated events: 8 bytes an event.
_KEPT_DIGITS = 16
#: So many records are checked before others get their turn: about a millisecond.
BREATH = 100


class Problem(msgspec.Struct, frozen=True):
    """One finding. `place` is where the record is: `<topic>/<partition>/<offset>`."""

    code: str
    reason: str
    tenant: str | None = None
    seq: int | None = None
    place: str | None = None


class End(NamedTuple):
    """Of a history: the `seq` and the digest of its last event."""

    seq: int
    digest: str


class _Chain:
    """A tenant's history so far."""

    __slots__ = ("_digests", "_first", "end", "position")

    def __init__(self, first: int) -> None:
        self._first = first
        self._digests = array("Q")
        self.end = End(first - 1, GENESIS)
        self.position = (-1, -1)

    def append(self, event: EventEnvelope, digest: str) -> None:
        """Go on with the next event."""
        self._digests.append(_kept(digest))
        self.end = End(event.seq, digest)
        self.position = event.command_position

    def had(self, seq: int) -> int | None:
        """What is kept of the digest of an event that was there before; None for another one."""
        return self._digests[seq - self._first] if self._first <= seq <= self.end.seq else None


class Verifier:
    """Takes the records of `events` in the order of each partition. `ends` is what the graph has;
    `partitions` how many there are."""

    def __init__(self, partitions: int, ends: Mapping[str, End], tenant: str | None = None) -> None:
        self._partitions = partitions
        self._ends = {name: end for name, end in ends.items() if tenant in {None, name}}
        self._tenant = tenant
        self._chains: dict[str, _Chain] = {}
        self.events = 0
        self.repeated = 0

    @property
    def tenants(self) -> int:
        """How many have a history in the log."""
        return len(self._chains)

    def take(self, record: StoredRecord) -> Iterator[Problem]:
        """What is wrong with the next record."""
        place = f"{record.topic}/{record.partition}/{record.offset}"
        try:
            event = EventEnvelope.from_record(record)
            digest, written = event.digest, event.to_record().headers
        except (ValueError, OverflowError) as error:
            if self._tenant is None or record.key == self._tenant.encode():
                yield Problem("unreadable", f"this is no event: {error}", place=place)
            return
        if self._tenant is not None and event.tenant != self._tenant:
            return
        # Events from before there were versions of the rules do not name them.
        expected = {"ce_rules": "1", **record.headers}
        findings = [
            ("altered", f"its header {name} does not fit the others")
            for name, text in written.items()
            if expected.get(name) != text
        ]
        if partition_of(event.tenant, self._partitions) != record.partition:
            findings.append(("misplaced", "its tenant belongs to another partition"))
        for code, reason in (*findings, *self._followed(event, digest)):
            yield Problem(code, reason, event.tenant, event.seq, place)

    def ended(self) -> Iterator[Problem]:
        """What is wrong with where the histories end."""
        for tenant, end in sorted(self._ends.items()):
            chain = self._chains.get(tenant)
            if chain is None:
                reason = f"the graph has {end.seq} events, the log none of them"
                yield Problem("lost", reason, tenant)
            elif chain.end.seq < end.seq:
                reason = f"the log ends with event {chain.end.seq}, the graph has {end.seq}"
                yield Problem("cut_off", reason, tenant, chain.end.seq)

    def _followed(self, event: EventEnvelope, digest: str) -> Iterator[tuple[str, str]]:
        """What is wrong with the event after those before it, which it joins."""
        chain = self._chains.get(event.tenant)
        if chain is not None and (known := chain.had(event.seq)) is not None:
            self.repeated += 1
            if known != _kept(digest):
                yield "divergence", "it comes a second time, and is not the same"
            return
        yield from _linked(event, chain)
        if chain is None or event.seq != chain.end.seq + 1:
            # Its successors are compared with it, whatever was before.
            chain = self._chains[event.tenant] = _Chain(event.seq)
        self.events += 1
        chain.append(event, digest)
        in_graph = self._ends.get(event.tenant)
        if in_graph is not None and in_graph.seq == event.seq and in_graph.digest != digest:
            yield "not_in_graph", "the graph has another event in its place"


class _Found:
    """The first problems, and how many there are."""

    def __init__(self) -> None:
        self.first: list[Problem] = []
        self.count = 0

    def take(self, problems: Iterator[Problem]) -> None:
        for problem in problems:
            self.count += 1
            if self.count <= MOST_PROBLEMS:
                self.first.append(problem)


async def verify(
    log: Log, graph: Graph, tenant: str | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.dispatch.Dispatcher` and `core.operations.Verify`. What is appended
    meanwhile may be checked too. Raises `NotFound` for a tenant that neither log nor graph has."""
    started = time.monotonic()
    rows = await graph.query(load_statements.TENANTS, {}, seconds=60.0)
    ends = {row["id"]: End(row["seq"], row["prev"]) for row in rows}
    count = log.topics()[EVENTS].partitions
    verifier = Verifier(count, ends, tenant)
    chosen = range(count) if tenant is None else [partition_of(tenant, count)]
    bounds = {number: await log.bounds(EVENTS, number) for number in chosen}
    done, total = 0, sum(end - begin for begin, end in bounds.values())
    found = _Found()
    for number in chosen:
        async for records in batches(log, EVENTS, number):
            for record in records:
                found.take(verifier.take(record))
                done += 1
                if done % BREATH == 0:
                    await asyncio.sleep(0)
            yield {"done": min(done, total), "total": total}
    found.take(verifier.ended())
    if tenant is not None and not verifier.tenants and tenant not in ends:
        raise NotFound("unknown_tenant", f"tenant: there is no tenant {tenant}", field="tenant")
    yield {
        "ok": not found.count,
        "tenants": verifier.tenants,
        "events": verifier.events,
        "repeated": verifier.repeated,
        "problems": msgspec.to_builtins(found.first),
        "found": found.count,
        "seconds": round(time.monotonic() - started, 3),
    }


def _linked(event: EventEnvelope, chain: _Chain | None) -> Iterator[tuple[str, str]]:
    """What is wrong with where the event stands in its tenant's history."""
    if chain is None:
        if event.seq != 1:
            yield "incomplete", "the log lacks every event before it"
        elif event.prev != GENESIS:
            yield "broken_chain", "the first event names a predecessor"
        return
    if event.seq <= chain.end.seq:
        yield "disorder", "its successors are before it"
    elif event.seq != chain.end.seq + 1:
        yield "gap", f"events {chain.end.seq + 1} to {event.seq - 1} are missing before it"
    elif event.prev != chain.end.digest:
        yield "broken_chain", f"event {event.seq - 1} is not the one that it says it follows"
    if event.command_position <= chain.position:
        yield "disorder", "its command comes before that of the event before it"


def _kept(digest: str) -> int:
    return int(digest[:_KEPT_DIGITS], 16)
