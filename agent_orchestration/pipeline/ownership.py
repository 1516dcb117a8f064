"""Which partitions this process has been given, and whether it works on them."""

import asyncio
import logging
from collections.abc import Iterable

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import RULES
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
        self.working: dict[int, Partition] = {}
        self.outdated: PlatformError | None = None

    async def join(self) -> None:
        """Become a member; work begins with what is assigned."""
        await self._log.join(GROUP, [COMMANDS, EVENTS], self._assigned, self._revoked)

    async def leave(self) -> None:
        """End the membership and all work; may be called whatever `join` did."""
        if self._leaving is not None:
            await self._leaving
        await self._log.leave(GROUP)
        await self._revoked(frozenset(self.working))

    def folds(self, number: int) -> bool:
        """Whether this process brings the partition's events into the graph."""
        partition = self.working.get(number)
        return partition is not None and partition.failure is None

    async def restart(self, numbers: Iterable[int]) -> None:
        """Begin the work on these partitions anew, where they are this process's."""
        async with self._changing:
            numbers = self.working.keys() & set(numbers)
            await self._end(numbers)
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
