"""A process of the simulated installation: what it runs can be stopped, and killed."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.loop import PROCESS, CountedTask, Loop, Ready

#: What clocks show when the simulation begins, in milliseconds since the epoch.
EPOCH_MS = 1_750_000_000_000


class Killed(BaseException):
    """Raised where a process dies in the middle of something; nothing of it runs any more."""


class Process:
    """One process. `skew` is by how many milliseconds its clock is wrong."""

    def __init__(self, loop: Loop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self.paused = False
        self.postponed: deque[Ready] = deque()
        self.skew = 0
        self.slowness = 1.0
        self.paused_at = 0.0
        self._context = contextvars.copy_context()
        self._context.run(PROCESS.set, self)

    def clock(self) -> int:
        """Its idea of the time, in milliseconds since the epoch."""
        return EPOCH_MS + round(self.loop.now * 1000) + self.skew

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> CountedTask:
        """Run something in it."""
        return self.loop.create_task(work, name=name or self.name, context=self._context.copy())

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something as if in it."""
        return self._context.copy().run(function, *arguments)

    def pause(self) -> None:
        """As SIGSTOP."""
        self.paused = True
        self.paused_at = self.loop.now

    def resume(self) -> None:
        """As SIGCONT."""
        self.loop.resume(self)

    async def die(self) -> None:
        """As SIGKILL, from within: does not return."""
        self.alive = False
        await asyncio.Event().wait()
