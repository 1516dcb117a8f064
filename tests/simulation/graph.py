"""One embedded graph that all processes share, and each one's unreliable way to it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agent_orchestration.backends.graph import CheckpointMoved, GraphWrite, Position
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Unavailable
from tests.simulation.faults import WRITE, Faults
from tests.simulation.process import Process

WAY_MS = 1.0


class Store:
    """The graph itself. It works at once: all that takes time is the way to it."""

    def __init__(self, graph: KgliteGraph) -> None:
        self.graph = graph
        self.outage = False


class SimulatedGraph:
    """A `Graph`: one process's way to the store."""

    def __init__(self, store: Store, process: Process, faults: Faults) -> None:
        self._store = store
        self._process = process
        self._faults = faults

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def _way(self) -> None:
        milliseconds = self._faults.draw.expovariate(1 / WAY_MS) * self._process.slowness
        await asyncio.sleep(milliseconds / 1000)
        if self._store.outage:
            await asyncio.sleep(1.0)
            raise Unavailable("graph_unavailable", "the graph is away")

    async def write(self, write: GraphWrite) -> None:
        await self._way()
        fault = self._faults.one_of(WRITE)
        if fault == "write_refused":
            raise Unavailable("graph_unavailable", "not now")
        if fault == "crash_before_write":
            await self._process.die()
        if fault == "write_slow":
            await asyncio.sleep(self._faults.draw.uniform(0.1, 5.0))
        try:
            await self._store.graph.write(write)
        except CheckpointMoved:
            self._faults.seen["checkpoint_moved"] += 1
            raise
        if fault == "crash_after_write":
            await self._process.die()
        await self._way()
        if fault == "write_unacknowledged":
            raise Unavailable("graph_unavailable", "the answer was lost")

    async def position(self, partition: int) -> Position | None:
        await self._way()
        return await self._store.graph.position(partition)

    async def published(self, partition: int) -> Position | None:
        await self._way()
        return await self._store.graph.published(partition)

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        await self._way()
        return await self._store.graph.query(statement, parameters, seconds=seconds, limit=limit)

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        return await self._store.graph.explain_is_read(statement, parameters)
