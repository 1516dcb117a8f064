"""Circuit breakers: a service that keeps failing is left alone for a while.

Written here because the libraries looked at do not serve: purgatory reads the wall clock, which
jumps and which tests cannot set, lets every caller in as soon as it is half open, and takes an
excluded error for a success.
"""

import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ParamSpec, TypeVar

import msgspec

from agent_orchestration.core.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

MAX_SERVICES = 1000
"""Breakers that a registry keeps; beyond it the oldest makes room, first one without failures."""
_TRIAL_SECONDS = 1.0


class CircuitBreakerState(StrEnum):
    """Closed: calls pass. Open: they are refused. Half open: one of them tries the service."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreakerConfig(msgspec.Struct, frozen=True):
    """How many failures in a row open it, and after how many seconds it tries again."""

    failures: int = 5
    seconds: float = 60.0


class CircuitBreakerError(Unavailable):
    """The breaker is open: the service was not called. `retry_after` is in seconds."""


class CircuitBreakerStatus(msgspec.Struct, frozen=True):
    """A breaker as operators see it: its state and since when, how many calls have failed in a
    row, and when an open one lets a call through (None: others)."""

    name: str
    state: CircuitBreakerState
    failures: int
    since: datetime
    tries_again: datetime | None


class CircuitBreaker:
    """Guards the calls to one service. `now` gives seconds that never go back.

    `Unavailable` is a failure. Every other error says nothing about the service's health: what
    was refused was the caller's fault, and whoever is busy is there.
    """

    def __init__(self, name: str, config: CircuitBreakerConfig, now: Callable[[], float]) -> None:
        self.name = name
        self.state = CircuitBreakerState.CLOSED
        self.failures = 0
        self._config = config
        self._now = now
        self._since = now()
        #: Counts the changes of state: an outcome counts in the state that its call began in.
        self._period = 0
        self._trying = False
        self._watchers: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def watched(self, changed: Callable[[], None]) -> Generator[None]:
        """Inside, `changed` is called after every change of the state; it must not fail."""
        self._watchers.append(changed)
        try:
            yield
        finally:
            self._watchers.remove(changed)

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """What the function answers or raises. Raises `CircuitBreakerError` without calling it."""
        period = self._admitted()
        try:
            answer = await function()
        except BaseException as error:
            if period == self._period:
                self._trying = False
                if isinstance(error, Unavailable):
                    self._failed()
            raise
        if period == self._period:
            self.failures = 0
            if self.state is CircuitBreakerState.HALF_OPEN:
                self._become(CircuitBreakerState.CLOSED)
        return answer

    def status(self, wall: datetime) -> CircuitBreakerStatus:
        """How it is; `wall` is the time of day now."""
        since = wall - timedelta(seconds=self._now() - self._since)
        is_open = self.state is CircuitBreakerState.OPEN
        again = since + timedelta(seconds=self._config.seconds) if is_open else None
        return CircuitBreakerStatus(self.name, self.state, self.failures, since, again)

    def _admitted(self) -> int:
        """The period of a call that may begin now."""
        left = self._since + self._config.seconds - self._now()
        if self.state is CircuitBreakerState.OPEN and left <= 0:
            self._become(CircuitBreakerState.HALF_OPEN)
        if self.state is CircuitBreakerState.OPEN or self._trying:
            wait = round(left if self.state is CircuitBreakerState.OPEN else _TRIAL_SECONDS, 3)
            reason = (
                f"{self.name} failed {self.failures} times in a row and is left alone; "
                f"try again in {wait:g} seconds"
            )
            raise CircuitBreakerError("circuit_open", reason, retry_after=wait)
        self._trying = self.state is CircuitBreakerState.HALF_OPEN
        return self._period

    def _failed(self) -> None:
        self.failures += 1
        half_open = self.state is CircuitBreakerState.HALF_OPEN
        if half_open or self.failures >= self._config.failures:
            self._become(CircuitBreakerState.OPEN)

    def _become(self, state: CircuitBreakerState) -> None:
        self.state = state
        self._since = self._now()
        self._period += 1
        self._trying = False
        for changed in self._watchers:
            changed()


class CircuitBreakerRegistry:
    """The breakers of a process, by the name of the service."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._breakers: dict[str, CircuitBreaker] = {}

    def breaker(self, service: str, config: CircuitBreakerConfig | None = None) -> CircuitBreaker:
        """The service's breaker; made with `config` where there is none."""
        found = self._breakers.get(service)
        if found is None:
            if len(self._breakers) >= MAX_SERVICES:
                del self._breakers[self._dispensable()]
            found = CircuitBreaker(service, config or CircuitBreakerConfig(), self._now)
            self._breakers[service] = found
        return found

    def status(self) -> list[CircuitBreakerStatus]:
        """Every breaker's status, by name."""
        wall = datetime.now(UTC)
        return [breaker.status(wall) for _, breaker in sorted(self._breakers.items())]

    def _dispensable(self) -> str:
        healthy = (name for name, breaker in self._breakers.items() if not breaker.failures)
        return next(healthy, next(iter(self._breakers)))


BREAKERS = CircuitBreakerRegistry()
"""Those of this process."""


def circuit_breaker(
    service: str,
    *,
    fallback: Callable[P, Awaitable[T]] | None = None,
    config: CircuitBreakerConfig | None = None,
    breakers: CircuitBreakerRegistry = BREAKERS,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorates a coroutine function that calls the service: all that name it share its breaker,
    with the `config` of the first.

    While it is open `fallback` answers, given the same arguments; without one the call raises
    `CircuitBreakerError`.
    """
    breakers.breaker(service, config)  # operators see it before the first call

    def protect(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(function)
        async def protected(*args: P.args, **kwargs: P.kwargs) -> T:
            breaker = breakers.breaker(service, config)
            try:
                return await breaker.call(lambda: function(*args, **kwargs))
            except CircuitBreakerError:
                if fallback is None:
                    raise
                return await fallback(*args, **kwargs)

        return protected

    return protect
