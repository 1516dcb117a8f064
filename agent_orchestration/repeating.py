"""Asking a process that may end before it answers: the same question again, of whoever is next."""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.remote import OwnerGone, RemoteDispatcher

#: How long a call looks for somebody to answer before it gives up.
SEARCH_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25

T = TypeVar("T")


class SessionDispatcher(ABC):
    """A `Dispatcher` for as long as a verb runs, which may let others in over HTTP."""

    registry: Registry = REGISTRY

    @property
    def url(self) -> str | None:
        """Where this process listens, None where it does not."""
        return None

    @property
    def owns(self) -> bool:
        """Whether log and graph are this process's alone."""
        return False

    @abstractmethod
    async def start(self) -> None:
        """Begin. Raises a `PlatformError` where that is not possible."""

    @abstractmethod
    async def stop(self) -> None:
        """End, also after a failed `start`; calls under way are answered."""

    async def closed(self) -> None:
        """Wait until the server has ended; raises what ended it. Without a server, for ever."""
        await asyncio.Event().wait()

    @abstractmethod
    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`."""

    @abstractmethod
    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `Dispatcher`."""

    @abstractmethod
    async def status(self) -> dict[str, Any]:
        """See `Dispatcher`."""

    @abstractmethod
    def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        """See `Dispatcher`."""


class RepeatingDispatcher(SessionDispatcher):
    """Passes calls on to a target, which may be in another process.

    A call whose target ends before it answered is repeated with the same idempotency key, so it is
    carried out once.
    """

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`."""
        known = self.registry.tools.get(tool)
        sent = dict(arguments)

        async def once(target: Dispatcher) -> dict[str, Any]:
            # Only another process can end in the middle; there a repetition must be recognised.
            if isinstance(target, RemoteDispatcher) and known is not None and known.takes_key:
                sent["idempotency_key"] = sent.get("idempotency_key") or uuid.uuid4().hex
            return await target.call(tool, sent, caller)

        return await self._until_answered(once)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `Dispatcher`."""
        return await self._until_answered(lambda target: target.read_blob(digest, caller))

    async def status(self) -> dict[str, Any]:
        """See `Dispatcher`; a joined process answers with the checks of the one it joined."""
        status = await self._until_answered(lambda target: target.status())
        return status | {"role": "owner" if self.owns else "joined"}

    async def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        """See `Dispatcher`. Not repeated by itself when the target ends in the middle."""
        target = await self._resolve(deadline())
        async for step in target.operate(operation):
            yield step

    @abstractmethod
    async def _resolve(self, by: float, /) -> Dispatcher:
        """Whom to ask. Raises `Unavailable` where nobody is found by then (the loop's time)."""

    @abstractmethod
    def _is_gone(self, target: Dispatcher, gone: OwnerGone, /) -> None:
        """The target ended before it answered. Raises where the next one would say the same."""

    async def _until_answered(self, ask: Callable[[Dispatcher], Awaitable[T]]) -> T:
        """Ask, again and of the next one while they end."""
        by: float | None = None
        pause = FIRST_PAUSE
        while True:
            target = await self._resolve(by or deadline())
            try:
                return await ask(target)
            except OwnerGone as gone:
                by = by or deadline()
                if asyncio.get_running_loop().time() > by:
                    raise Unavailable("owner_unreachable", gone.reason) from gone
                self._is_gone(target, gone)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def deadline() -> float:
    """When somebody who asks now gives up (the loop's time)."""
    return asyncio.get_running_loop().time() + SEARCH_SECONDS
