"""Functions as agents: what each can do, and its typed input and output.

@agent(capabilities={"text.summarise": 0.8})
async def summarise(text: str, sentences: int = 3) -> Summary: ...
"""

import asyncio
import contextlib
import contextvars
import inspect
import threading
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.hosting import register
from agent_orchestration.workers.signatures import Misfit, Signature

P = ParamSpec("P")
R = TypeVar("R")


class ThreadTask:
    """The task as a function without `async` sees it, which runs in a thread of its own.

    Nobody can end a thread: a long function has to look at `cancelled` from time to time and
    return. What it returns then is thrown away.
    """

    def __init__(self, task: HeldTask, loop: asyncio.AbstractEventLoop) -> None:
        self._task = task
        self._loop = loop
        self.id = task.id
        self.title = task.title
        self.attempt = task.attempt
        self.agent_id = task.agent_id
        self.payload = task.payload
        self.previous_progress = task.previous_progress
        self.dependencies = task.dependencies

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is over: cancelled, another's, or given back."""
        return self._task.cancelled.is_set()

    def progress(self, value: Any) -> None:
        """See `HeldTask.progress`."""
        self._wait(self._task.progress(value))

    def artifact(self, name: str, data: Any, media_type: str | None = None) -> None:
        """See `HeldTask.artifact`."""
        self._wait(self._task.artifact(name, data, media_type))

    def dependency_result(self, task_id: str) -> Any:
        """See `HeldTask.dependency_result`."""
        return self._wait(self._task.dependency_result(task_id))

    def _wait(self, asked: Awaitable[Any]) -> Any:
        async def answered() -> Any:
            return await asked

        return asyncio.run_coroutine_threadsafe(answered(), self._loop).result()


class FunctionAgent(Generic[P, R]):
    """A function that carries out the tasks of the agent `id`; called, it is still that function.

    `capabilities` maps names to levels of 0 to 1. `concurrency` is how many tasks one process holds
    at once, and how many the agent may hold in all of them unless `max_concurrency` says more.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        id: str,  # noqa: A002 - what the platform calls it
        name: str,
        capabilities: Mapping[str, float],
        concurrency: int,
        max_concurrency: int,
        lease_seconds: int | None,
        heartbeat_seconds: int | None,
    ) -> None:
        self.id = id
        self.name = name
        self.capabilities = capabilities
        self.concurrency = concurrency
        self.max_concurrency = max_concurrency
        self.lease_seconds = lease_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        wanted, other = (
            (HeldTask, ThreadTask)
            if inspect.iscoroutinefunction(function)
            else (ThreadTask, HeldTask)
        )
        if other in typing.get_type_hints(function).values():
            raise TypeError(f"{id}: the task has to be a {wanted.__name__} there")
        self._signature = Signature(function, id, wanted)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.__wrapped__(*args, **kwargs)

    async def make_known(self, calls: PatientCalls) -> None:
        """See `HostedAgent`."""
        await register(
            calls,
            self.id,
            name=self.name,
            capabilities=[{"name": n, "level": v} for n, v in self.capabilities.items()],
            max_concurrency=self.max_concurrency,
            heartbeat_seconds=self.heartbeat_seconds,
        )

    async def beside(self) -> None:
        """Nothing."""

    async def carry_out(self, task: HeldTask) -> Any:
        """The `Handler` of a `Worker`: the function's result as JSON data.

        A payload that does not fit fails the task for good with `invalid_input`, a result that is
        not what the function promises with `invalid_output`.
        """
        try:
            arguments = self._signature.arguments(task.payload)
        except Misfit as error:
            _refuse("invalid_input", f"the payload does not fit {self.id}: {error}", error)
        if self._signature.is_async:
            if self._signature.given_name is not None:
                arguments[self._signature.given_name] = task
            result = await cast("Callable[..., Awaitable[Any]]", self.__wrapped__)(**arguments)
        else:
            result = await self._in_thread(task, arguments)
        try:
            return self._signature.result(result)
        except Misfit as error:
            _refuse("invalid_output", f"{self.id} returned what it should not: {error}", error)

    async def _in_thread(self, task: HeldTask, arguments: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        if self._signature.given_name is not None:
            arguments[self._signature.given_name] = ThreadTask(task, loop)
        function = cast("Callable[..., Any]", self.__wrapped__)
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def tell(result: Any, error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result((result, error))

        def work() -> None:
            result, error = None, None
            try:
                result = function(**arguments)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                loop.call_soon_threadsafe(tell, result, error)

        # Not of a pool: a process that was told to end must not wait for a thread that goes on.
        run = contextvars.copy_context().run  # what the function calls belongs to the task's trace
        name = f"{self.id} {task.id}"
        threading.Thread(target=run, args=(work,), name=name, daemon=True).start()
        result, error = await ended
        if error is not None:
            raise error
        return result


def agent(
    *,
    capabilities: Iterable[str] | Mapping[str, float] = (),
    id: str | None = None,  # noqa: A002 - what the platform calls it
    name: str | None = None,
    concurrency: int = 1,
    max_concurrency: int | None = None,
    lease_seconds: int | None = None,
    heartbeat_seconds: int | None = 60,
) -> Callable[[Callable[P, R]], FunctionAgent[P, R]]:
    """Make the function below an agent.

    Its parameters are the members of a task's payload, by name; one called `payload` is all of it,
    and one annotated `HeldTask` (without `async`: `ThreadTask`) is the task itself. Types are
    checked by pydantic, on the way in and on the way out. A function without `async` runs in a
    thread.

    `id` is the function's name by default; capabilities without a level have the highest.
    Raises `TypeError` for a function that cannot be called in this way.
    """
    levels = dict.fromkeys(capabilities, 1.0)
    if isinstance(capabilities, Mapping):
        levels = {**cast("Mapping[str, float]", capabilities)}

    def make(function: Callable[P, R]) -> FunctionAgent[P, R]:
        known_as = id or function.__name__
        return FunctionAgent(
            function,
            id=known_as,
            name=name or known_as,
            capabilities=levels,
            concurrency=concurrency,
            max_concurrency=max_concurrency or concurrency,
            lease_seconds=lease_seconds,
            heartbeat_seconds=heartbeat_seconds,
        )

    return make


def _refuse(error_type: str, message: str, error: Misfit) -> NoReturn:
    """Another attempt would meet the same."""
    raise TaskError(message, error_type=error_type, retryable=False) from error
