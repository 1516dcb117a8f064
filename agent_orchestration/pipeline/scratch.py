"""A graph of its own, folded from the log as far as somebody wants it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.log import Log, Stamp
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS


class _Past(WrappedLog):
    """The events of a log before `ends`, by partition; nothing can be appended."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.ends: dict[int, int] = {}

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:  # noqa: ARG002
        """What a projector appends is in `dead_letters` since it was read for the first time."""
        return []

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        limit = min(limit, self.ends[partition] - offset)
        return await super().read(topic, partition, offset, limit) if limit > 0 else []


class Scratch:
    """Folds the log's events into `graph`, which nobody else writes."""

    def __init__(self, services: Services, graph: Graph) -> None:
        self.graph = graph
        self._past = _Past(services.log)
        self._services = replace(services, log=self._past, graph=graph, progress=Progress())
        self._projectors: dict[int, Projector] = {}

    async def fold(self, partition: int, end: int) -> AsyncGenerator[int, None]:
        """Bring all events of a partition before `end` into the graph; yields how many records came
        with each batch, and first how many it has already. Raises `Rejected` where the log lacks
        events that the graph cannot be made without."""
        self._past.ends[partition] = end
        projector = self._projectors.get(partition)
        try:
            if projector is None:
                await self._refuse_incomplete(partition)
                projector = Projector(self._services, partition)
                await projector.seek()
                self._projectors[partition] = projector
                first, _ = await self._past.bounds(EVENTS, partition)
                if already := projector.position[1] - first:
                    yield already
            while count := await projector.step():
                yield count
        except Corrupt as error:
            if error.code != "gap":
                raise
            raise _incomplete(error.reason) from error

    async def fold_all(
        self, ends: Mapping[int, int], phase: str
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same for all partitions; yields how far it is, as `core.dispatch.Dispatcher` says."""
        done, total = 0, sum(ends.values())
        for number, end in ends.items():
            async for count in self.fold(number, end):
                done += count
                yield {"phase": phase, "done": done, "total": total}

    async def _refuse_incomplete(self, partition: int) -> None:
        first, _ = await self._past.bounds(EVENTS, partition)
        if first and await self.graph.position(partition) is None:
            raise _incomplete(f"{EVENTS}/{partition} begins with record {first}")


async def ends_of(log: Log) -> dict[int, int]:
    """Where each partition of `events` ends by now."""
    numbers = range(log.topics()[EVENTS].partitions)
    return {number: (await log.bounds(EVENTS, number))[1] for number in numbers}


def _incomplete(why: str) -> Rejected:
    return Rejected(
        "history_incomplete",
        f"the graph cannot be made from this log: {why}; bring the missing events back from a"
        " backup",
    )
