"""Calling tools with patience: what is Busy or Unavailable is asked again, with the same words."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec

from agent_orchestration import tracing
from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.types import BLOB_KEY

PATIENCE_SECONDS = 120.0
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

T = TypeVar("T")


class PatientCalls:
    """Repeats a call that failed for a passing reason, for at most `patience` seconds.

    The arguments stay the same, so an idempotency key among them makes the repeat harmless even
    where the first call had been carried out and only its answer was lost.
    """

    def __init__(
        self, dispatcher: ToolCaller, caller: Caller, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.dispatcher = dispatcher
        self.caller = caller
        self.patience = patience
        self.repeated = 0

    def about(self, correlation: str | None) -> "PatientCalls":
        """The same for what belongs to that correlation."""
        if correlation in (None, self.caller.correlation):
            return self
        caller = msgspec.structs.replace(self.caller, correlation=correlation)
        return PatientCalls(self.dispatcher, caller, self.patience)

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The tool's answer; raises a `PlatformError` that is final, or after the patience. It is
        part of the trace of the work at hand."""
        caller = self.caller
        if (traceparent := tracing.current()) is not None:
            caller = msgspec.structs.replace(caller, traceparent=traceparent)
        return await self._patiently(lambda: self.dispatcher.call(tool, arguments, caller))

    async def read_blob(self, digest: str) -> bytes:
        """See `Dispatcher.read_blob`."""
        return await self._patiently(lambda: self.dispatcher.read_blob(digest, self.caller))

    async def whole(self, value: Any) -> Any:
        """The value itself, where only a reference to it came."""
        if isinstance(value, dict) and BLOB_KEY in value:
            reference = cast("dict[str, str]", value)
            return msgspec.json.decode(await self.read_blob(reference[BLOB_KEY]))
        return cast("Any", value)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        give_up: float | None = None
        delay = FIRST_DELAY
        while True:
            try:
                return await ask()
            except PlatformError as error:
                now = asyncio.get_running_loop().time()
                give_up = give_up or now + self.patience
                wait = _wait(error, delay)
                if not error.retryable or now + wait > give_up:
                    raise
            self.repeated += 1
            await asyncio.sleep(wait)
            delay = min(delay * 2, LONGEST_DELAY)


def _wait(error: PlatformError, delay: float) -> float:
    """At least what a `Busy` asks for; spread, so that many callers do not return together."""
    asked = error.details.get("retry_after")
    least = float(asked) if isinstance(asked, int | float) else 0.0
    return max(least, delay / 2) + random.random() * delay / 2
