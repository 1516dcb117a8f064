"""Analytics in the process that has the log, where feeds are views of it: counted when somebody
asks, from where the last question ended."""

import asyncio
from typing import Any

from agent_orchestration.analytics.counting import Counting
from agent_orchestration.analytics.questions import answered
from agent_orchestration.backends.log import Log
from agent_orchestration.core.analytics import WindowsAsked
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.histories import BATCH
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, SYSTEM_EVENTS

BREATH = 10
"""So many records are counted before others get their turn."""
PATIENCE_SECONDS = 10.0


class LogAnalytics:
    """`core.analytics.Analytics` on the log itself. Nobody pays for it before the first question,
    which then takes as long as reading the log does: at most `PATIENCE_SECONDS` of it at a time."""

    def __init__(self, log: Log, registry: Registry) -> None:
        self._log = log
        self._counting = Counting(registry)
        self._following: dict[tuple[str, int], int] = {}
        self._turn = asyncio.Lock()

    async def windows(self, asked: WindowsAsked) -> dict[str, Any]:
        """See `core.analytics.Analytics`. Raises what reading the log raises, too."""
        partition = partition_of(asked.tenant, self._log.topics()[EVENTS].partitions)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._turn:
                for topic in (EVENTS, SYSTEM_EVENTS):
                    await self._count(topic, partition % self._log.topics()[topic].partitions)
        except TimeoutError:
            reason = "the log is still being counted: what was counted is kept, ask again"
            raise Unavailable("still_counting", reason) from None
        return answered(self._counting.histories.get(asked.tenant), asked)

    async def _count(self, topic: str, partition: int) -> None:
        place = topic, partition
        first, _ = await self._log.bounds(topic, partition)
        following = self._following.get(place, first)
        # Rejections leave the log after a while; events only for an archive, where they are read.
        self._following[place] = max(following, first) if topic == SYSTEM_EVENTS else following
        while records := await self._log.read(topic, partition, self._following[place], BATCH):
            for number, record in enumerate(records, 1):
                self._counting.take(record)
                self._following[place] = record.offset + 1
                if number % BREATH == 0:
                    await asyncio.sleep(0)
            self._counting.settle()
