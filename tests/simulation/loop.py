"""An event loop without a world: time is virtual, nothing runs at the same time, and the same
seed gives the same order of everything."""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, cast


class Runs(Protocol):
    """What a callback belongs to: a process that can be stopped and killed."""

    alive: bool
    paused: bool
    #: What would have run while it was stopped, or dead.
    postponed: "deque[Ready]"


#: The process that is running; None outside of all.
PROCESS: contextvars.ContextVar[Runs | None] = contextvars.ContextVar("process", default=None)
Ready = tuple[asyncio.Handle, contextvars.Context, Callable[..., Any], tuple[Any, ...]]


class CountedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(
        self, coro: Coroutine[Any, Any, Any], serial: int, process: Runs | None, **more: Any
    ) -> None:
        # First of all: the task is put into sets while it is made.
        self.serial = serial
        self.process = process
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self.serial


class Loop(asyncio.AbstractEventLoop):
    """Runs callbacks one after the other and lets time pass when there are none.

    Callbacks of a paused process wait until it goes on, those of a dead one until the simulation is
    over, as after SIGSTOP and SIGKILL. What `run_in_executor` is given is done at once.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.failures: list[dict[str, Any]] = []
        self.tasks: list[CountedTask] = []
        self._ready: deque[Ready] = deque()
        self._timers: list[tuple[float, int, Ready]] = []
        self._count = itertools.count()

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run until the condition holds; an error where nothing is left to run before that."""
        asyncio._set_running_loop(self)
        try:
            while not done():
                if not self._ready:
                    self._pass_time()
                self._run_one()
        finally:
            asyncio._set_running_loop(None)

    def _pass_time(self) -> None:
        if not self._timers:
            raise RuntimeError("nothing is left to run")
        self.now = max(self.now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(self._timers)[2])

    def _run_one(self) -> None:
        ready = self._ready.popleft()
        handle, context, callback, arguments = ready
        process = context.get(PROCESS)
        if process is not None and (process.paused or not process.alive):
            process.postponed.append(ready)
        elif not handle.cancelled():
            self.steps += 1
            context.run(callback, *arguments)

    def resume(self, process: Runs) -> None:
        """The process goes on, with all that it missed."""
        process.alive, process.paused = True, False
        self._ready.extend(process.postponed)
        process.postponed.clear()

    def time(self) -> float:
        return self.now

    def call_soon(
        self,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, _own(context), callback, args))
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        ready = (handle, _own(context), callback, args)
        heapq.heappush(self._timers, (when, next(self._count), ready))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left in the heap and passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> CountedTask:
        task = CountedTask(
            cast("Coroutine[Any, Any, Any]", coro),
            next(self._count),
            _own(context).get(PROCESS),
            loop=self,
            name=None if name is None else str(name),
            context=context,
        )
        self.tasks.append(task)
        if len(self.tasks) > 1000 and task.serial % 512 == 0:
            self.tasks = [one for one in self.tasks if not one.done()]
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


def _own(context: contextvars.Context | None) -> contextvars.Context:
    """The context, or a copy of the present one; an empty context is one, too."""
    return contextvars.copy_context() if context is None else context
