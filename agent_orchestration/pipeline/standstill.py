"""Whether somebody works on the partitions, for a process that cannot see who else there is."""

import time
from collections.abc import Callable

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.log import Log
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.partitions import graph_position
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP

STILL_SECONDS = 10.0
"""For how long work may lie there before nobody seems to do it."""


class Standstill:
    """Remembers between two questions how far the commands are decided and the events in the graph:
    where there is more, that has to move. `now` gives seconds."""

    def __init__(self, log: Log, graph: Graph, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._log = log
        self._graph = graph
        #: By topic and partition, the position seen last, and when it was seen there first.
        self._seen: dict[tuple[str, int], tuple[int, float]] = {}

    async def check(self, number: int) -> None:
        """Raises `Unavailable` where a partition's work lies still, what `graph_position` raises
        where it cannot go on, and `LogLost` where the commands to decide next are gone."""
        _, offset, end = await graph_position(self._log, self._graph, number)
        self._look(EVENTS, number, offset, end)
        committed = await self._log.committed(GROUP, COMMANDS, number)
        first, end = await self._log.bounds(COMMANDS, number)
        known = committed is not None and committed[0] == self._log.epoch
        self._look(COMMANDS, number, committed[1] if committed and known else first, end)

    def _look(self, topic: str, number: int, offset: int, end: int) -> None:
        now = self._now()
        before, since = self._seen.get((topic, number), (-1, now))
        if offset != before or offset >= end:
            since = now
        self._seen[topic, number] = offset, since
        if now - since >= STILL_SECONDS:
            reason = (
                f"{topic}/{number} stands still at {offset} of {end} for {now - since:.0f} s: see"
                " what the processors say in their logs, and whether any runs"
            )
            raise Unavailable("standstill", reason)
