"""Results on their way back to whoever waits for them, and hints that there is work."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.messages import CommandResult
from agent_orchestration.domain.tasks.index import meets
from agent_orchestration.domain.tasks.model import Requirement

Requires = tuple[Requirement, ...]


class Answers:
    """The commands of this process that wait for their outcome, by command id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[CommandResult]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, command_id: str) -> asyncio.Future[CommandResult]:
        """A future of the outcome; `forget` it when done."""
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        return future

    def forget(self, command_id: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(command_id, None)

    def deliver(self, result: CommandResult) -> None:
        """The outcome is known; one that nobody here waits for is dropped."""
        future = self._waiting.get(result.command_id)
        if future is not None and not future.done():
            future.set_result(result)

    def fail(self, command_id: str, error: PlatformError) -> None:
        """There will be no outcome."""
        future = self._waiting.get(command_id)
        if future is not None and not future.done():
            future.set_exception(error)


class ClaimWaiter(msgspec.Struct, eq=False):
    """An agent that waits for work. `levels` is None while it is at capacity, or unknown."""

    tenant: str
    agent_id: str
    wake: asyncio.Event
    levels: Mapping[str, int] | None = None
    woken_for: Requires | None = None


class ReadyHints:
    """Parked claims: each task that becomes ready wakes one waiter that could do it.

    Hints may be lost or come in vain: a waiter always claims anew, and gives its hint on when it
    goes away without having claimed.
    """

    def __init__(self) -> None:
        self._waiters: defaultdict[str, dict[ClaimWaiter, None]] = defaultdict(dict)

    def park(self, tenant: str, agent_id: str) -> ClaimWaiter:
        """Register before claiming, so that no hint falls between claim and wait."""
        waiter = ClaimWaiter(tenant, agent_id, asyncio.Event())
        self._waiters[tenant][waiter] = None
        return waiter

    def leave(self, waiter: ClaimWaiter, *, served: bool) -> None:
        """The waiter goes; a hint it did not use goes to the next one."""
        waiters = self._waiters[waiter.tenant]
        waiters.pop(waiter, None)
        if not waiters:
            del self._waiters[waiter.tenant]
        if waiter.woken_for is not None and not served:
            self.task_ready(waiter.tenant, waiter.woken_for)

    def task_ready(self, tenant: str, requires: Requires) -> None:
        """A task with these requirements became ready."""
        for waiter in self._waiters.get(tenant, ()):
            if waiter.woken_for is None and self._fits(waiter, requires):
                waiter.woken_for = requires
                waiter.wake.set()
                return

    def agent_changed(self, tenant: str, agent_id: str) -> None:
        """The agent has room again, or can do other things."""
        for waiter in self._waiters.get(tenant, ()):
            if waiter.agent_id == agent_id:
                waiter.wake.set()

    @staticmethod
    def _fits(waiter: ClaimWaiter, requires: Requires) -> bool:
        return waiter.levels is not None and meets(waiter.levels, requires)
