"""A partition's histories, checked: that each event follows its predecessor in the tenant's chain,
and that a chain ends no earlier than the graph, and with the same event.

An event's digest covers its predecessor's digest, its content, type, time, author and command; that
of the last event is in the graph. Not covered: what it says of its cause and correlation, and where
its command was, of which only the order is checked. Who changes log and graph alike is not found.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec

from agent_orchestration.backends.graph import Position
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord
from agent_orchestration.core.state import GENESIS
from agent_orchestration.pipeline.forks import Tree, kept_digits, place_of, undecided_reason
from agent_orchestration.pipeline.partitions import partition_of


class Problem(msgspec.Struct, frozen=True):
    """One finding. `place` is where the record is: `<topic>/<partition>/<offset>`."""

    code: str
    reason: str
    tenant: str | None = None
    seq: int | None = None
    place: str | None = None


class End(NamedTuple):
    """Of a history: the `seq` and the digest of its last event (None where that is not known), and
    the digests of events that it leaves out."""

    seq: int
    digest: str | None
    left_out: Collection[str] = ()


class Verifier:
    """Takes the records of one partition of `events` in their order, out of so many `partitions`.
    `ends` is what the graph has of its tenants."""

    def __init__(self, partitions: int, ends: Mapping[str, End], tenant: str | None = None) -> None:
        self._partitions = partitions
        self._ends = {name: end for name, end in ends.items() if tenant in {None, name}}
        self._tenant = tenant
        self._chains: dict[str, Tree] = {}
        #: Events with the `seq` of the graph's last one, which are not that.
        self._others: dict[str, Problem] = {}
        self._partition = 0
        self.events = 0
        self.repeated = 0
        #: Events that are no part of their histories, as the graph says, too.
        self.left_out = 0
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
        self._partition = record.partition
        for code, reason in (*findings, *self._followed(event, digest, record.offset)):
            yield Problem(code, reason, event.tenant, event.seq, place)

    def ended(self, position: Position) -> Iterator[Problem]:
        """What is wrong with where the histories end; `position`, (epoch, offset), is behind the
        last command there is."""
        for tenant, chain in sorted(self._chains.items()):
            if chain.longest.position >= position:
                reason = "its command is none that the log ever had"
                yield Problem("altered", reason, tenant, chain.longest.last)
            yield from self._forked(tenant, chain)
        yield from (problem for _, problem in sorted(self._others.items()))
        for tenant, end in sorted(self._ends.items()):
            chain = self._chains.get(tenant)
            if chain is None:
                reason = f"the graph has {end.seq} events, the log none of them"
                yield Problem("lost", reason, tenant)
            elif (last := chain.longest.last) < end.seq:
                reason = f"the log ends with event {last}, the graph has {end.seq}"
                yield Problem("cut_off", reason, tenant, last)

    def _unreadable(self, tenant: str, why: str, place: str) -> Iterator[Problem]:
        if tenant in self._chains or tenant in self._ends:
            yield Problem("unreadable", f"this is no event: {why}", tenant, place=place)
        else:
            self.foreign += 1

    def _forked(self, tenant: str, chain: Tree) -> Iterator[Problem]:
        """What a rebuild would leave out, and has not yet; and where it would not know."""
        end = self._ends.get(tenant)
        known = {kept_digits(digest) for digest in end.left_out} if end is not None else set[int]()
        for fork in chain.forks():
            if fork.digest in known:
                self.left_out += 1
                continue
            reason = f"the history goes on from {place_of(self._partition, fork.kept)}, not from it"
            place = place_of(self._partition, fork.left_out)
            yield Problem(
                "divergence", f"{reason}: `rebuild` leaves it out", tenant, fork.seq, place
            )
        if (both := chain.undecided()) is not None:
            reason, place = undecided_reason(self._partition, both), both.offsets[-1]
            at = place_of(self._partition, place)
            yield Problem("divergence", reason, tenant, both.seq, at)

    def _followed(
        self, event: EventEnvelope, digest: str, offset: int
    ) -> Iterator[tuple[str, str]]:
        """What is wrong with the event after those before it, which it joins."""
        chain = self._chains.setdefault(event.tenant, Tree())
        before = None if chain.is_empty else (chain.before(event) or chain.longest).position
        joined = chain.join(event, digest, offset)
        if joined == "repeated":
            self.repeated += 1
            return
        self.events += 1
        if joined == "apart":
            if chain.has(event.seq):
                yield "divergence", "it comes a second time, and is not the same"
                return
            yield from _apart(event, chain)
            chain.go_on(event, digest, offset)
        if joined != "forks" and before is not None and event.command_position <= before:
            yield "disorder", "its command comes before that of the event before it"
        self._compare(event, digest, place_of(self._partition, offset))

    def _compare(self, event: EventEnvelope, digest: str, place: str) -> None:
        """Whether it is the graph's last one."""
        end = self._ends.get(event.tenant)
        if end is None or end.digest is None or end.seq != event.seq:
            return
        if digest == end.digest:
            self._others.pop(event.tenant, None)
            self._ends[event.tenant] = end._replace(digest=None)  # it was found
        else:
            reason = "the graph has another event in its place"
            problem = Problem("not_in_graph", reason, event.tenant, event.seq, place)
            self._others[event.tenant] = problem


def _apart(event: EventEnvelope, chain: Tree) -> Iterator[tuple[str, str]]:
    """What is wrong with where the event stands in its tenant's history."""
    if chain.is_empty:
        if event.seq != 1:
            yield "incomplete", "the log lacks every event before it"
        elif event.prev != GENESIS:
            yield "broken_chain", "the first event names a predecessor"
        return
    last = chain.longest.last
    if event.seq <= last:
        yield "disorder", "its successors are before it"
    elif event.seq != last + 1:
        yield "gap", f"events {last + 1} to {event.seq - 1} are missing before it"
    else:
        yield "broken_chain", f"event {last} is not the one that it says it follows"
