"""How far the work on a partition is behind its log."""

import asyncio

from agent_orchestration import measures
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.command_processor import CommandProcessor
from agent_orchestration.pipeline.counting import FoldMeasures
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP

EVERY_SECONDS = 5.0


class Lag:
    """Says every few seconds how many commands and events of a partition wait, while it runs."""

    def __init__(
        self,
        services: Services,
        processor: CommandProcessor,
        projector: Projector,
        folding: FoldMeasures,
        partition: int,
    ) -> None:
        self._log = services.log
        self._processor = processor
        self._projector = projector
        self._folding = folding
        self._partition = partition

    async def run(self) -> None:
        """Look for ever. What was seen last stands while the work on the partition begins anew."""
        await self._processor.taken_over.wait()
        while True:
            try:
                await self._look()
            except Unavailable:
                forget_lag(self._partition)  # the log cannot say how long it is
            await asyncio.sleep(EVERY_SECONDS)

    async def _look(self) -> None:
        reached = {COMMANDS: self._processor.next, EVENTS: self._projector.position[1]}
        for topic, offset in reached.items():
            _, end = await self._log.bounds(topic, self._partition)
            if topic == EVENTS:
                self._folding.log_ends(end)
            measures.CONSUMER_LAG.set(max(end - offset, 0), GROUP, topic, str(self._partition))


def forget_lag(partition: int) -> None:
    """Somebody else may know how much waits in the partition now."""
    for topic in (COMMANDS, EVENTS):
        measures.CONSUMER_LAG.drop(GROUP, topic, str(partition))
