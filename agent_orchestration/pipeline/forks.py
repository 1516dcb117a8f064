"""Where a tenant's history in the log forks: two events with one `seq`, as two owners of one
partition append when they do not decide alike. A tenant's events form a tree, in which each follows
the one that its `prev` names; the longest branch is the history."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.pipeline.histories import batches, event_of
from agent_orchestration.pipeline.topology import EVENTS

#: Hex digits of each digest that are kept to tell events apart: 8 bytes an event, as its offset.
_KEPT_DIGITS = 16
Joined = Literal["follows", "repeated", "forks", "apart"]
"""How an event stands to those before it: it is the next one, one that was there, another one in
the place of one that was there, or none of these."""


class Fork(NamedTuple):
    """Two events with one `seq`, by their offsets: `left_out` is on a shorter branch, `kept` on
    the longest. `digest` is what is kept of that of the former."""

    seq: int
    left_out: int
    kept: int
    digest: int


class LeftOut(msgspec.Struct, frozen=True):
    """An event that its tenant's history leaves out: `place` is where it is in the log, `kept`
    where the event is that has its `seq` in the history."""

    tenant: str
    seq: int
    digest: str
    place: str
    kept: str


class Undecided(NamedTuple):
    """The offsets of events with one `seq`, on branches that are equally long."""

    seq: int
    offsets: Sequence[int]


class _Branch:
    """Events that follow each other."""

    __slots__ = ("_digests", "_offsets", "_prev", "first", "parent", "position", "tip")

    def __init__(self, event: EventEnvelope, parent: "_Branch | None") -> None:
        self._digests = array("Q")
        self._offsets = array("Q")
        self._prev = event.prev
        self.first = event.seq
        self.parent = parent

    @property
    def last(self) -> int:
        """The `seq` it ends with."""
        return self.first + len(self._digests) - 1

    def append(self, event: EventEnvelope, digest: str, offset: int) -> None:
        """Go on with an event."""
        self._digests.append(kept_digits(digest))
        self._offsets.append(offset)
        self.tip = digest
        self.position = event.command_position

    def has(self, seq: int) -> bool:
        """Whether it has an event with that `seq`."""
        return self.first <= seq <= self.last

    def digest(self, seq: int) -> int:
        """What is kept of the digest of an event."""
        return self._digests[seq - self.first]

    def leads_to(self, event: EventEnvelope) -> bool:
        """Whether its event with that `seq` has the same predecessor."""
        if event.seq == self.first:
            return event.prev == self._prev
        return f"{self.digest(event.seq - 1):016x}" == event.prev[:_KEPT_DIGITS]

    def offset(self, seq: int) -> int:
        """Where an event is in the log."""
        return self._offsets[seq - self.first]


class Tree:
    """A tenant's events, as the log has them."""

    def __init__(self) -> None:
        self._branches: list[_Branch] = []

    @property
    def is_empty(self) -> bool:
        """Whether it has no event yet."""
        return not self._branches

    @property
    def longest(self) -> _Branch:
        """The branch that ends with the highest `seq`."""
        return max(self._branches, key=lambda branch: branch.last)

    def has(self, seq: int) -> bool:
        """Whether there is an event with that `seq`."""
        return any(branch.has(seq) for branch in self._branches)

    def before(self, event: EventEnvelope) -> _Branch | None:
        """The branch that the event goes on with."""
        for branch in self._branches:
            if branch.last + 1 == event.seq and branch.tip == event.prev:
                return branch
        return None

    def join(self, event: EventEnvelope, digest: str, offset: int) -> Joined:
        """Take the log's next event, unless it is repeated or stands apart."""
        seq, here = event.seq, kept_digits(digest)
        if (branch := self.before(event)) is not None:
            branch.append(event, digest, offset)
            return "follows"
        rivals = [branch for branch in self._branches if branch.has(seq)]
        if any(branch.digest(seq) == here for branch in rivals):
            return "repeated"
        rival = next((branch for branch in rivals if branch.leads_to(event)), None)
        if rival is None:
            return "apart"
        self._begin(event, digest, offset, rival.parent if seq == rival.first else rival)
        return "forks"

    def go_on(self, event: EventEnvelope, digest: str, offset: int) -> None:
        """Take an event that stands apart: what comes is compared with it, whatever was before."""
        if self._branches and self.longest.last + 1 == event.seq:
            self.longest.append(event, digest, offset)
            return
        self._branches.clear()
        self._begin(event, digest, offset, None)

    def _begin(
        self, event: EventEnvelope, digest: str, offset: int, parent: _Branch | None
    ) -> None:
        branch = _Branch(event, parent)
        branch.append(event, digest, offset)
        self._branches.append(branch)

    def forks(self) -> Iterator[Fork]:
        """The events that are left out."""
        if len(self._branches) < 2:
            return
        paths = self._paths()
        for branch in self._branches:
            ends = [path[branch] for path in paths if branch in path]
            for seq in range(max(ends, default=branch.first - 1) + 1, branch.last + 1):
                kept = _at(paths[0], seq).offset(seq)
                yield Fork(seq, branch.offset(seq), kept, branch.digest(seq))

    def undecided(self) -> Undecided | None:
        """Where the longest branches part, if there are several."""
        if len(self._branches) < 2 or len(paths := self._paths()) == 1:
            return None
        common = [min(p[one] for p in paths) for one in paths[0] if all(one in p for p in paths)]
        roots = min(branch.first for path in paths for branch in path)
        seq = max(common, default=roots - 1) + 1
        return Undecided(seq, sorted({_at(path, seq).offset(seq) for path in paths}))

    def _paths(self) -> list[dict[_Branch, int]]:
        """What leads to the end of each longest branch: the branches on the way, and with which
        `seq` it leaves them."""
        last = self.longest.last
        found: list[dict[_Branch, int]] = []
        for end in [one for one in self._branches if one.last == last]:
            branch, path = end, {end: last}
            while branch.parent is not None:
                path[branch.parent] = branch.first - 1
                branch = branch.parent
            found.append(path)
        return found


def kept_digits(digest: str) -> int:
    """What is kept of a digest."""
    return int(digest[:_KEPT_DIGITS], 16)


async def forks_of(log: Log, partition: int) -> tuple[list[LeftOut], list[str]]:
    """Which events of a partition are left out, and where nothing says which of two is right, in
    words. Of each event 16 bytes are held. Raises what `Log.read` raises."""
    trees: defaultdict[str, Tree] = defaultdict(Tree)
    async for records in batches(log, EVENTS, partition):
        for record in records:
            event = event_of(record)
            if event is None:
                continue
            tree, digest = trees[event.tenant], event.digest
            if tree.join(event, digest, record.offset) == "apart" and tree.is_empty:
                tree.go_on(event, digest, record.offset)
    left_out: list[LeftOut] = []
    undecided: list[str] = []
    for tenant, tree in sorted(trees.items()):
        for fork in tree.forks():
            [record] = await log.read(EVENTS, partition, fork.left_out, 1)
            digest = EventEnvelope.from_record(record).digest
            places = (place_of(partition, offset) for offset in (fork.left_out, fork.kept))
            left_out.append(LeftOut(tenant, fork.seq, digest, *places))
        if (both := tree.undecided()) is not None:
            undecided.append(f"tenant {tenant}: {undecided_reason(partition, both)}")
    return left_out, undecided


def undecided_reason(partition: int, both: Undecided) -> str:
    """What is to be done where no branch is longer than the others."""
    places = " and ".join(place_of(partition, offset) for offset in both.offsets)
    return (
        f"there are different events {both.seq} at {places}, and as many follow each, so that"
        " nothing says which is right: compare both with a backup of the log, and bring the log"
        " back without the wrong one"
    )


def place_of(partition: int, offset: int) -> str:
    """Where a record is, in words."""
    return f"{EVENTS}/{partition}/{offset}"


def _at(path: dict[_Branch, int], seq: int) -> _Branch:
    return next(branch for branch, end in path.items() if branch.first <= seq <= end)
