"""How far a partition's commands are settled, as the group's committed position."""

import asyncio
import logging

from agent_orchestration.backends.log import Log
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.pipeline.topology import COMMANDS, GROUP

logger = logging.getLogger(__name__)
EVERY_SECONDS = 0.5
END_SECONDS = 2.0


class CommittedPosition:
    """Whoever takes the partition over begins there, and settles again what comes after.

    On Kafka a commit costs as much as appending some commands, and no command has to wait for it:
    it is made aside, and after the first one at most twice a second, and when work ends.
    """

    def __init__(self, log: Log, partition: int) -> None:
        self._log = log
        self._partition = partition
        self._reached: int | None = None
        self._committed: int | None = None
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def reached(self, offset: int) -> None:
        """Everything before it is settled. Raises what the last commit did."""
        self._reached = offset
        if self._task is not None and self._task.done():
            done, self._task = self._task, None
            done.result()
        if self._task is None and self._committed != offset:
            self._task = asyncio.create_task(self._commit_all())

    async def end(self) -> None:
        """Commit what is not committed yet, where the log still takes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._committed == self._reached:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._commit()
        except (PlatformError, TimeoutError) as error:
            # Another owner is there by now, or will settle a few commands again.
            logger.info("partition %d: the last commit failed: %s", self._partition, error)

    async def _commit_all(self) -> None:
        now = asyncio.get_running_loop().time
        while self._committed != self._reached:
            await asyncio.sleep(max(self._due - now(), 0))
            await self._commit()
            self._due = now() + EVERY_SECONDS

    async def _commit(self) -> None:
        offset = self._reached
        assert offset is not None
        await self._log.commit(GROUP, COMMANDS, self._partition, offset)
        self._committed = offset
