"""A log and a graph that can fail, stall and be looked into."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent_orchestration.app import wall_clock
from agent_orchestration.backends.graph import GraphWrite
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.log import Stamp
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.entities import Row
from agent_orchestration.core.envelope import Record


class Gate:
    """Open, or closed for whoever comes along; counts who waits."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = 0

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def passage(self) -> None:
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1


class WatchedLog(SqliteLog):
    """The embedded log. `faults[topic]` is awaited with the number of the append to that topic;
    it may raise instead of appending, or answer an error to raise after the append. `members` is
    the rules that it says other members know."""

    def __init__(self, path: Path, topics: Any, clock: Callable[[], int] = wall_clock) -> None:
        super().__init__(path, topics, clock)
        self.faults: dict[str, Callable[[int], Exception | None]] = {}
        self.gates: dict[str, Gate] = {}
        self.appends = Counter[str]()
        self.members: list[int] = []

    async def member_rules(self, group: str) -> list[int]:
        return self.members

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        self.appends[topic] += 1
        number = self.appends[topic]
        if topic in self.gates:
            await self.gates[topic].passage()
        error = self.faults[topic](number) if topic in self.faults else None
        stamps = await super().append(topic, partition, records)
        if error is not None:
            raise error
        return stamps


class WatchedGraph(KgliteGraph):
    """The embedded graph. Writes pass `gate`; `refuse` may raise for a write; counts questions."""

    def __init__(self, path: Path, entities: Any) -> None:
        super().__init__(path, entities)
        self.gate = Gate()
        self.refuse: Callable[[GraphWrite], None] = lambda _: None
        self.queries = 0

    def damage(self, statement: str, parameters: Row) -> None:
        """Change it behind the platform's back."""
        assert self._opened is not None
        self._opened.session.execute(statement, params=parameters)

    async def write(self, write: GraphWrite) -> None:
        await self.gate.passage()
        self.refuse(write)
        await super().write(write)

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        self.queries += 1
        return await super().query(statement, parameters, seconds=seconds, limit=limit)
