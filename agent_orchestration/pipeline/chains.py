"""A partition's histories, checked: that each event follows its predecessor in the tenant's chain,
and that a chain ends no earlier than the graph, and with the same event.

An event's digest covers its predecessor's digest, its content, type, time, author and command; that
of the last event is in the graph. Not covered: what it says of its cause and correlation, and where
its command was, of which only the order is checked. Who changes log and graph alike is not found.
"""

from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from agent_orchestration.backends.graph import Position
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord
from agent_orchestration.core.state import GENESIS
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS

#: Hex digits of each digest that are kept for comparing repeated events: 8 bytes an event.
_KEPT_DIGITS = 16


class Problem(msgspec.Struct, frozen=True):
    """One finding. `place` is where the record is: `<topic>/<partition>/<offset>`."""

    code: str
    reason: str
    tenant: str | None = None
    seq: int | None = None
    place: str | None = None


class End(NamedTuple):
    """Of a history: the `seq` and the digest of its last event; None where that is not known."""

    seq: int
    digest: str | None


def place_of(partition: int, offset: int) -> str:
    """Where a record is, in words."""
    return f"{EVENTS}/{partition}/{offset}"


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
    """Takes the records of one partition of `events` in their order, out of so many `partitions`.
    `ends` is what the graph has of its tenants."""

    def __init__(self, partitions: int, ends: Mapping[str, End], tenant: str | None = None) -> None:
        self._partitions = partitions
        self._ends = {name: end for name, end in ends.items() if tenant in {None, name}}
        self._tenant = tenant
        self._chains: dict[str, _Chain] = {}
        self.events = 0
        self.repeated = 0
        #: Records that are no events, and never were any of a tenant that is known.
        self.foreign = 0

    @property
    def tenants(self) -> int:
        """How many have a history in the log."""
        return len(self._chains)

    def take(self, record: StoredRecord) -> Iterator[Problem]:
        """What is wrong with the next record."""
        place = place_of(record.partition, record.offset)
        try:
            event = EventEnvelope.from_record(record)
            digest, written = event.digest, event.to_record().headers
        except (OverflowError, TypeError, ValueError) as error:
            yield from self._unreadable(record.key.decode(errors="replace"), str(error), place)
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
        if event.rules < 1:
            findings.append(("altered", f"there were never rules {event.rules}"))
        if partition_of(event.tenant, self._partitions) != record.partition:
            findings.append(("misplaced", "its tenant belongs to another partition"))
        for code, reason in (*findings, *self._followed(event, digest)):
            yield Problem(code, reason, event.tenant, event.seq, place)

    def ended(self, position: Position) -> Iterator[Problem]:
        """What is wrong with where the histories end; `position`, (epoch, offset), is behind the
        last command there is."""
        for tenant, chain in sorted(self._chains.items()):
            if chain.position >= position:
                reason = "its command is none that the log ever had"
                yield Problem("altered", reason, tenant, chain.end.seq)
        for tenant, end in sorted(self._ends.items()):
            chain = self._chains.get(tenant)
            if chain is None:
                reason = f"the graph has {end.seq} events, the log none of them"
                yield Problem("lost", reason, tenant)
            elif chain.end.seq < end.seq:
                reason = f"the log ends with event {chain.end.seq}, the graph has {end.seq}"
                yield Problem("cut_off", reason, tenant, chain.end.seq)

    def _unreadable(self, tenant: str, why: str, place: str) -> Iterator[Problem]:
        if tenant in self._chains or tenant in self._ends:
            yield Problem("unreadable", f"this is no event: {why}", tenant, place=place)
        else:
            self.foreign += 1

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
        end = self._ends.get(event.tenant)
        if end is not None and end.seq == event.seq and end.digest not in {digest, None}:
            yield "not_in_graph", "the graph has another event in its place"


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
