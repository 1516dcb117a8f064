"""Somebody who appends without end, and holds the log to what it said."""

import asyncio
from collections.abc import Sequence

from agent_orchestration.backends.log import Log, OutcomeUnknown, Stamp
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Unavailable

PATIENCE = 60


def records(*values: object) -> list[Record]:
    """Records with these values as text."""
    return [Record(b"tenant", str(value).encode()) for value in values]


def values(found: Sequence[StoredRecord]) -> list[str]:
    """The values of records."""
    return [record.value.decode() for record in found]


async def everything(log: Log, partition: int = 0) -> list[StoredRecord]:
    """All records of a partition of `events`."""
    found: list[StoredRecord] = []
    while more := await log.read("events", partition, len(found), 1000):
        found += more
    return found


class Sender:
    """Appends to `events` for ever, and remembers what became of each record."""

    def __init__(self, log: Log, partition: int) -> None:
        self.log = log
        self.partition = partition
        self.kept: dict[str, Stamp] = {}
        self.unknown: set[str] = set()
        self.refused: set[str] = set()
        self.progress = asyncio.Event()

    async def run(self) -> None:
        number = 0
        while True:
            batch = [f"{number}-{n}" for n in range(1 + number % 7)]
            number += 1
            try:
                stamps = await self.log.append("events", self.partition, records(*batch))
            except OutcomeUnknown:
                self.unknown.update(batch)
            except Unavailable:
                self.refused.update(batch)
            else:
                self.kept.update(zip(batch, stamps, strict=True))
                self.progress.set()

    async def goes_on(self) -> None:
        self.progress.clear()
        await asyncio.wait_for(self.progress.wait(), PATIENCE)

    async def check(self, log: Log) -> None:
        """What was acknowledged is where it was said to be, once; what was refused is nowhere."""
        found = await everything(log, self.partition)
        where = dict(zip(values(found), found, strict=True))
        assert len(where) == len(found), "appended twice"
        assert [r.offset for r in found] == list(range(len(found)))
        for value, stamp in self.kept.items():
            assert Stamp(where[value].offset, where[value].timestamp) == stamp
        assert not self.refused & where.keys(), "said to be nowhere"
