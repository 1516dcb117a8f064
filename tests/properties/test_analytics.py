"""Windows are a function of the log: however its records come, and whenever the process ends."""

import asyncio
from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestration.analytics.commits import Commits
from agent_orchestration.analytics.counting import Counting
from agent_orchestration.analytics.rows import changes_of, histories_in
from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import Record, StoredRecord
from tests.contracts.analytics_load import shown
from tests.properties.histories import PLAIN, History, moves
from tests.properties.move import Move

SEEDS = st.integers(0, 2**32)


def records(history: History) -> tuple[list[StoredRecord], list[StoredRecord]]:
    """The tenant's events, and its rejections, as the log has them."""
    events = [stored(envelope.to_record(), 0) for envelope in history.envelopes]
    refused = [
        stored(outcome.rejection, outcome.asked.timestamp)
        for outcome in history.outcomes
        if outcome.rejection is not None
    ]
    return events, refused


def stored(record: Record, timestamp: int) -> StoredRecord:
    return StoredRecord("", 0, 0, timestamp, record.key, record.value, record.headers)


def counted(records: Iterable[StoredRecord]) -> Counting:
    """The recomputation: the records once, in their order."""
    counting = Counting(REGISTRY)
    for record in records:
        counting.take(record)
    return counting


def mixed(
    draw: Random, events: Sequence[StoredRecord], refused: list[StoredRecord]
) -> list[StoredRecord]:
    """As feeds bring them: events in any order, rejections in theirs, both some times again."""
    some = [*events, *draw.choices(events, k=len(events) // 2)]
    draw.shuffle(some)
    again = draw.randrange(len(refused)) if refused else 0
    following = [*refused[: again + 1], *refused[draw.randint(0, again) if refused else 0 :]]
    places = sorted(draw.sample(range(len(some) + len(following)), len(following)))
    for place, record in zip(places, following, strict=True):
        some.insert(place, record)
    return some


@settings(max_examples=150)
@given(moves(PLAIN), SEEDS)
def test_any_order_and_any_repeats_are_counted_as_the_log_is(made: list[Move], seed: int) -> None:
    events, refused = records(History().play(made))
    counting = counted(mixed(Random(seed), events, refused))
    assert shown(counting) == shown(counted([*events, *refused]))
    assert counting.held == 0


class Table(dict[bytes, bytes]):
    """A table whose process may end before all that it was told has arrived."""

    def __init__(self, arrived: dict[bytes, bytes]) -> None:
        super().__init__(arrived)
        self.arrived = arrived
        self.under_way: list[tuple[bytes, bytes | None]] = []

    def __setitem__(self, key: bytes, value: bytes) -> None:
        super().__setitem__(key, value)
        self.under_way.append((key, value))

    def __delitem__(self, key: bytes) -> None:
        super().__delitem__(key)
        self.under_way.append((key, None))

    async def written(self) -> None:
        self.arrive(self.under_way)

    def arrive(self, some: Sequence[tuple[bytes, bytes | None]]) -> None:
        """These; the others never do."""
        for key, value in some:
            if value is None:
                self.arrived.pop(key, None)
            else:
                self.arrived[key] = value
        self.under_way = []


class Ended(Exception):
    """The process ended."""


class Run:
    """A process that counts and commits until it ends."""

    def __init__(self, draw: Random, arrived: dict[bytes, bytes]) -> None:
        self.draw = draw
        self.table = Table(arrived)
        self.commits = Commits(self.table, self.written)

    async def written(self) -> None:
        if self.draw.random() < 0.2:
            some = [one for one in self.table.under_way if self.draw.random() < 0.5]
            self.table.arrive(some)
            raise Ended
        await self.table.written()

    async def count(self, records: Sequence[StoredRecord]) -> Counting:
        counting = Counting(REGISTRY, histories_in(REGISTRY, await self.commits.load() or {}))
        size = self.draw.randint(1, 20)
        for begin in range(0, len(records), size):
            for record in records[begin : begin + size]:
                counting.take(record)
            for tenant in sorted(counting.changed):
                await self.commits.commit(changes_of(counting.histories[tenant]))
            counting.changed.clear()
        return counting


@settings(max_examples=150)
@given(moves(PLAIN), SEEDS)
def test_a_process_that_ends_anywhere_goes_on_from_its_last_commit(
    made: list[Move], seed: int
) -> None:
    asyncio.run(ended_and_started_again(History().play(made), Random(seed)))


async def ended_and_started_again(history: History, draw: Random) -> None:
    events, refused = records(history)
    arrived: dict[bytes, bytes] = {}
    found: Counting | None = None
    while found is None:
        try:
            # What was not acknowledged comes again: here everything, in another order.
            found = await Run(draw, arrived).count(mixed(draw, events, refused))
        except Ended:
            continue
    expected = shown(counted([*events, *refused]))
    assert shown(found) == expected
    rows = await Commits(Table(arrived), Table({}).written).load()
    assert rows is not None
    assert shown(Counting(REGISTRY, histories_in(REGISTRY, rows))) == expected
