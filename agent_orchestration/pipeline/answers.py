"""Results on their way back to whoever waits for them, and hints that there is work."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.messages import CommandResult
from agent_orchestration.domain.tasks.index import meets
from agent_orchestration.domain.tasks.model import Requirement

Requires = tuple[Requirement, ...]
K = TypeVar("K")


class WaitingCommand(msgspec.Struct, eq=False):
    """A command whose outcome is awaited; `first` and `last` are the copies that were sent of it
    and may still be decided, `heard` says that one of them was, and in vain."""

    outcome: asyncio.Future[CommandResult]
    first: int
    last: int
    heard: bool = False


class Answers:
    """The commands of this process that wait for their outcome, by command id."""

    def __init__(self) -> None:
        self._waiting: dict[str, WaitingCommand] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, command_id: str, copy: int) -> WaitingCommand:
        """This copy of the command is about to be sent; `forget` it when done."""
        waiting = self._waiting.get(command_id)
        if waiting is None:
            outcome = asyncio.get_running_loop().create_future()
            waiting = self._waiting[command_id] = WaitingCommand(outcome, copy, copy)
        waiting.last = copy
        return waiting

    def forget(self, command_id: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(command_id, None)

    def deliver(self, result: CommandResult) -> None:
        """The outcome is known; one that nobody here waits for is dropped.

        What is refused, or finds nothing, is decided anew when its next copy comes, which may be
        accepted: only the last copy's answer says that nothing was done.
        """
        waiting = self._waiting.get(result.command_id)
        if waiting is None or waiting.outcome.done():
            return
        if result.status == "accepted" or result.copy >= waiting.last:
            waiting.outcome.set_result(result)
        else:
            waiting.heard = True

    def fail(self, command_id: str, error: PlatformError) -> None:
        """An append failed. There will be no outcome, unless another copy was sent."""
        waiting = self._waiting.get(command_id)
        if waiting is not None and waiting.first == waiting.last and not waiting.outcome.done():
            waiting.outcome.set_exception(error)


class Hint(msgspec.Struct, frozen=True):
    """A task that became ready."""

    task_id: str
    requires: Requires


class Bell(asyncio.Event):
    """Tells somebody when it is set."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def set(self) -> None:
        """Tell."""
        self._tell()


class ClaimWaiter(msgspec.Struct, eq=False):
    """A waiting claim.

    `levels` is what its agent can do, as of the last claim that found nothing; None before, and
    while the agent is `full`. `hint` is what it was woken for, `followed` what it claims for now.
    """

    tenant: str
    agent_id: str
    wake: asyncio.Event
    levels: Mapping[str, int] | None = None
    full: bool = False
    hint: Hint | None = None
    followed: Hint | None = None


class ReadyHints:
    """Waiting claims: each task that becomes ready wakes one waiter that could do it.

    What is told here comes in the order in which commands were decided, so nothing falls between
    a claim that found nothing and what was made ready after it. A hint that a waiter has no use
    for goes to the next one.
    """

    def __init__(self) -> None:
        self._waiters: defaultdict[str, dict[ClaimWaiter, None]] = defaultdict(dict)
        self._of_agent: defaultdict[tuple[str, str], dict[ClaimWaiter, None]] = defaultdict(dict)

    def park(self, tenant: str, agent_id: str) -> ClaimWaiter:
        """Register before claiming."""
        waiter = ClaimWaiter(tenant, agent_id, asyncio.Event())
        self._waiters[tenant][waiter] = None
        self._of_agent[tenant, agent_id][waiter] = None
        return waiter

    def park_elsewhere(
        self,
        tenant: str,
        agent_id: str,
        levels: Mapping[str, int] | None,
        seconds: float,
        tell: Callable[[], None],
    ) -> None:
        """A claim that found nothing waits in another process, for so long; `tell` it once."""

        def told() -> None:
            _drop(self._waiters, tenant, waiter)
            _drop(self._of_agent, (tenant, agent_id), waiter)
            expiry.cancel()
            tell()

        waiter = ClaimWaiter(tenant, agent_id, Bell(told), levels, levels is None)
        self._waiters[tenant][waiter] = None
        self._of_agent[tenant, agent_id][waiter] = None
        expiry = asyncio.get_running_loop().call_later(seconds, self.leave, waiter, None)

    def wake_one(self, tenant: str, agent_id: str) -> None:
        """There may be work for one of the agent's waiting claims."""
        for waiter in self._of_agent.get((tenant, agent_id), ()):
            if not waiter.wake.is_set():
                waiter.wake.set()
                return

    def follow(self, waiter: ClaimWaiter) -> None:
        """The waiter was woken and claims anew."""
        waiter.wake.clear()
        waiter.followed, waiter.hint = waiter.hint, None

    def in_vain(self, waiter: ClaimWaiter, levels: Mapping[str, int] | None) -> None:
        """The claim found nothing, with these `levels`; None: the agent was full. A task that it
        could have taken is gone, another one is for somebody else."""
        hint, waiter.followed = waiter.followed, None
        if hint is not None and (levels is None or not meets(levels, hint.requires)):
            self.task_ready(waiter.tenant, hint)

    def leave(self, waiter: ClaimWaiter, claimed: str | None) -> None:
        """The waiter goes, with the id of the task that it claimed, or with none."""
        _drop(self._waiters, waiter.tenant, waiter)
        _drop(self._of_agent, (waiter.tenant, waiter.agent_id), waiter)
        for hint in (waiter.followed, waiter.hint):
            if hint is not None and hint.task_id != claimed:
                self.task_ready(waiter.tenant, hint)

    def task_ready(self, tenant: str, hint: Hint) -> bool:
        """A task became ready. Whether that woke somebody: if not, it would be in vain to tell of
        another task with the same requirements at the same time."""
        for waiter in self._waiters.get(tenant, ()):
            fits = waiter.levels is not None and meets(waiter.levels, hint.requires)
            if fits and waiter.hint is None:
                waiter.hint = hint
                waiter.wake.set()
                return True
        return False

    def found_nothing(self, tenant: str, agent_id: str, levels: Mapping[str, int] | None) -> None:
        """A claim of the agent was decided, with these `levels`; None: the agent is full."""
        for waiter in self._of_agent.get((tenant, agent_id), ()):
            waiter.levels = levels
            waiter.full = levels is None

    def agent_changed(self, tenant: str, agent_id: str, levels: Mapping[str, int]) -> None:
        """The agent has room, and can do this."""
        for waiter in list(self._of_agent.get((tenant, agent_id), ())):
            if waiter.full or waiter.levels not in (None, levels):
                waiter.wake.set()

    def wake_all(self) -> None:
        """Anything may have happened."""
        for waiter in [one for waiters in self._waiters.values() for one in waiters]:
            waiter.wake.set()


def _drop(waiters: dict[K, dict[ClaimWaiter, None]], key: K, waiter: ClaimWaiter) -> None:
    del waiters[key][waiter]
    if not waiters[key]:
        del waiters[key]
