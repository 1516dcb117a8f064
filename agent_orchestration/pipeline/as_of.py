"""The graph as it was: folded from the log up to a moment, beside the live one."""

import asyncio
import contextlib
import functools
import itertools
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator
from datetime import datetime

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.moments import Offsets, offsets_at
from agent_orchestration.pipeline.scratch import Scratch
from agent_orchestration.pipeline.services import Services

#: So many graphs are in memory, ready to be asked again.
MOST_OPEN = 2
#: So many are kept as files, for what is asked to begin with the nearest.
MOST_KEPT = 16
#: While a graph is folded, a copy is kept each time that so many events were.
KEEP_EVERY = 10_000
#: How long a caller waits for a graph; it is made ready all the same.
PATIENCE_SECONDS = 30.0


class AsOf:
    """Graphs of the past, in files of this process; `stop` deletes them."""

    def __init__(self, services: Services, others: OtherGraphs) -> None:
        self._services = services
        self._others = others
        self._name = f"as-of-{os.getpid()}-{id(self):x}"
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self._making: dict[Offsets, asyncio.Task[None]] = {}
        self._open: OrderedDict[Offsets, tuple[str, Graph]] = OrderedDict()
        self._kept: dict[Offsets, str] = {}
        self._users: dict[Offsets, int] = {}

    @contextlib.asynccontextmanager
    async def graph(self, tenant: str, at: int | datetime) -> AsyncGenerator[Graph]:
        """The graph as it was at a time, or after the tenant's event with that `seq`. Raises
        `NotFound` where there is no such event, `Rejected` where the log does not reach back far
        enough, `Unavailable` while the graph is being made ready."""
        wanted = await offsets_at(self._services.log, tenant, at)
        self._users[wanted] = self._users.get(wanted, 0) + 1
        try:
            if wanted not in self._open:
                await self._made(wanted)
            self._open.move_to_end(wanted)
            yield self._open[wanted][1]
        finally:
            self._users[wanted] -= 1
            if not self._users[wanted]:
                del self._users[wanted]

    async def stop(self) -> None:
        """End all work, delete all files."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        for name, graph in self._open.values():
            await graph.stop()
            self._others.remove_scratch(name)
        self._open.clear()
        self._others.remove_scratch(self._name)

    async def _made(self, wanted: Offsets) -> None:
        task = self._making.get(wanted)
        if task is None:
            task = self._making[wanted] = asyncio.create_task(self._make(wanted))
            task.add_done_callback(functools.partial(self._has_made, wanted))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.shield(task)
        except TimeoutError:
            reason = "the graph of that moment is being made from the log: repeat in a while"
            raise Unavailable("being_made", reason, field="at") from None

    def _has_made(self, wanted: Offsets, task: asyncio.Task[None]) -> None:
        del self._making[wanted]
        if not task.cancelled():
            task.exception()  # whoever asked may have left

    async def _make(self, wanted: Offsets) -> None:
        async with self._lock:
            name = f"{self._name}/{next(self._numbers)}"
            base = self._nearest(wanted)
            if base is not None:
                await self._others.copy_scratch(self._kept[base], name)
            graph = await self._others.open_scratch(name)
            try:
                begin = base or (0,) * len(wanted)
                async for reached in self._folded(graph, begin, wanted):
                    await self._keep(name, graph, reached)
            except BaseException:
                await graph.stop()
                self._others.remove_scratch(name)
                raise
            self._open[wanted] = name, graph
            await self._close_some()

    def _nearest(self, wanted: Offsets) -> Offsets | None:
        """The kept graph that lacks least, and has nothing too much."""
        fit = [one for one in self._kept if all(a <= b for a, b in zip(one, wanted, strict=True))]
        return max(fit, key=sum, default=None)

    async def _folded(
        self, graph: Graph, begin: Offsets, wanted: Offsets
    ) -> AsyncGenerator[Offsets, None]:
        """Fold up to `wanted`, all partitions about alike; yields where it is on the way."""
        scratch = Scratch(self._services, graph)
        steps = max((sum(wanted) - sum(begin)) // KEEP_EVERY, 1)
        for step in range(1, steps + 1):
            reached = tuple(a + (b - a) * step // steps for a, b in zip(begin, wanted, strict=True))
            for number, end in enumerate(reached):
                async for _ in scratch.fold(number, end):
                    pass
            if step < steps:
                yield reached

    async def _keep(self, name: str, graph: Graph, reached: Offsets) -> None:
        kept = f"{name}-{sum(reached)}"
        # What is in its files is all of it only while it is closed.
        await graph.stop()
        await self._others.copy_scratch(name, kept)
        await graph.start()
        self._kept[reached] = kept
        if len(self._kept) > MOST_KEPT:
            for one in sorted(self._kept, key=sum)[::2]:
                self._others.remove_scratch(self._kept.pop(one))

    async def _close_some(self) -> None:
        for one in [one for one in self._open if one not in self._users]:
            if len(self._open) <= MOST_OPEN:
                return
            name, graph = self._open.pop(one)
            await graph.stop()
            self._others.remove_scratch(name)
