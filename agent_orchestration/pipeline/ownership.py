"""Which partitions this process has been given, and whether it works on them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import RULES
from agent_orchestration.pipeline.live_work import LiveWork
from agent_orchestration.pipeline.partition import Partition
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP

logger = logging.getLogger(__name__)
#: What a newer program could go on with.
OUTDATED = frozenset({"newer_rules", "unknown_event"})


class Ownership:
    """This process's share of the partitions, as a member of the group that decides; `shared`:
    there may be other members.

    `working` has those that it works on.
    `outdated` says why it left the group for good: others may know what this program does not.
    """

    def __init__(self, services: Services, *, shared: bool) -> None:
        self._services = services
        self._shared = shared
        self._log = services.log
        self._changing = asyncio.Lock()
        self._leaving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.working: dict[int, Partition] = {}
        self.outdated: PlatformError | None = None

    async def join(self) -> None:
        """Become a member; work begins with what is assigned."""
        watching = LiveWork(self._services, self.working).run()
        self._watching = asyncio.create_task(watching, name="live-work")
        await self._log.join(GROUP, [COMMANDS, EVENTS], self._assigned, self._revoked)

    async def leave(self) -> None:
        """End the membership and all work; may be called whatever `join` did."""
        if self._leaving is not None:
            await self._leaving
        await self._log.leave(GROUP)
        await self._revoked(frozenset(self.working))
        if self._watching is not None:
            self._watching.cancel()
            [ended] = await asyncio.gather(self._watching, return_exceptions=True)
            if isinstance(ended, Exception):
                logger.error("what there is to do was not told any more", exc_info=ended)

    async def caught_up(self, number: int, seconds: float) -> bool:
        """See `Partition.caught_up`; work on the partition may begin anew meanwhile."""
        present = self.working.get(number)
        if present is not None and present.is_caught_up:
            return True
        now = asyncio.get_running_loop().time
        ends = now() + seconds
        partition: Partition | None = None
        while partition is None or partition is not self.working.get(number):
            try:
                async with asyncio.timeout_at(ends), self._changing:
                    partition = self.working.get(number)
            except TimeoutError:
                return False
            if partition is None or not await partition.caught_up(ends - now()):
                return False
        return True

    def stopped(self) -> set[int]:
        """The partitions that cannot go on as they are."""
        return {number for number, one in self.working.items() if one.failure is not None}

    def folds(self, number: int) -> bool:
        """Whether this process brings the partition's events into the graph."""
        partition = self.working.get(number)
        return partition is not None and partition.failure is None

    @contextlib.asynccontextmanager
    async def paused(self, number: int) -> AsyncGenerator[None]:
        """Nobody in this process works on the partition meanwhile."""
        async with self._changing:
            mine = number in self.working
            try:
                await self._end([number])
                yield
            finally:
                if mine:
                    self._begin([number])

    async def restart(self, numbers: Iterable[int]) -> None:
        """Begin the work on these partitions anew, where they are this process's."""
        async with self._changing:
            numbers = self.working.keys() & set(numbers)
            try:
                await self._end(numbers)
            finally:
                self._begin(numbers)

    async def _assigned(self, numbers: frozenset[int]) -> None:
        async with self._changing:
            self._begin(numbers)

    async def _revoked(self, numbers: frozenset[int]) -> None:
        async with self._changing:
            await self._end(numbers)

    def _begin(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.working[number] = Partition(self._services, number, self._gave_up)
            self.working[number].start()

    async def _end(self, numbers: Iterable[int]) -> None:
        gone = [self.working.pop(number) for number in numbers if number in self.working]
        await asyncio.gather(*(partition.stop() for partition in gone))

    def _gave_up(self, error: PlatformError) -> None:
        """Where this program is too old, the partitions are for those who are not."""
        idle = self._leaving is None or self._leaving.done()
        if self._shared and error.code in OUTDATED and idle and self.outdated is None:
            self._leaving = asyncio.create_task(self._make_room(error), name="leaving")

    async def _make_room(self, error: PlatformError) -> None:
        try:
            if max(await self._log.member_rules(GROUP), default=0) <= RULES:
                return  # there is nobody who knows more
            logger.critical("this program leaves its partitions to newer ones: %s", error.reason)
            self.outdated = error
            await self._log.leave(GROUP)
        except PlatformError as failure:
            logger.warning("the group could not be left: %s", failure)
