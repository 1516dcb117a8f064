"""Circuit breakers: when they open, who tries, and what they say."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from agent_orchestration import resilience
from agent_orchestration.core.errors import Busy, Rejected, Unavailable
from agent_orchestration.resilience import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitBreakerRegistry,
    CircuitBreakerState,
    circuit_breaker,
)

CLOSED, OPEN, HALF_OPEN = CircuitBreakerState


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("model", CircuitBreakerConfig(), clock)


def raising(error: BaseException) -> Callable[[], Awaitable[str]]:
    async def fail() -> str:
        raise error

    return fail


async def answering() -> str:
    return "answer"


async def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable, match="down"):
            await breaker.call(raising(Unavailable("down", "down")))


async def test_it_opens_at_the_fifth_failure_in_a_row(breaker: CircuitBreaker) -> None:
    await fail(breaker, 4)
    assert await breaker.call(answering) == "answer"
    await fail(breaker, 4)
    assert (breaker.state, breaker.failures) == (CLOSED, 4)
    await fail(breaker, 1)
    assert (breaker.state, breaker.failures) == (OPEN, 5)


async def test_an_open_one_calls_nobody_and_says_when_it_will(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.seconds += 59
    with pytest.raises(CircuitBreakerError) as refused:
        await breaker.call(raising(AssertionError("called")))
    assert (refused.value.kind, refused.value.details) == ("unavailable", {"retry_after": 1.0})


@pytest.mark.parametrize(
    "error",
    [Rejected("refused", "r"), Busy("busy", "b"), ValueError("bug"), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_not_the_services_failure_neither_counts_nor_heals(
    breaker: CircuitBreaker, clock: Clock, error: BaseException
) -> None:
    await fail(breaker, 4)
    for _ in range(10):
        with pytest.raises(type(error)):
            await breaker.call(raising(error))
    assert (breaker.state, breaker.failures) == (CLOSED, 4)
    await fail(breaker, 1)
    clock.seconds += 60
    with pytest.raises(type(error)):
        await breaker.call(raising(error))
    assert breaker.state is HALF_OPEN
    assert await breaker.call(answering) == "answer"
    assert (breaker.state, breaker.failures) == (CLOSED, 0)


async def test_after_its_time_one_call_tries_and_the_others_wait(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.seconds += 60
    tried, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        tried.set()
        await go_on.wait()
        return "slow"

    trial = asyncio.create_task(breaker.call(slow))
    await tried.wait()
    assert breaker.state is HALF_OPEN
    with pytest.raises(CircuitBreakerError) as refused:
        await breaker.call(answering)
    assert refused.value.details == {"retry_after": 1.0}
    go_on.set()
    assert await trial == "slow"
    assert breaker.state is CLOSED


async def test_a_trial_that_fails_opens_it_for_as_long_again(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    await fail(breaker, 5)
    clock.seconds += 60
    await fail(breaker, 1)
    assert (breaker.state, breaker.failures) == (OPEN, 6)
    clock.seconds += 59.5
    with pytest.raises(CircuitBreakerError):
        await breaker.call(answering)
    clock.seconds += 0.5
    assert await breaker.call(answering) == "answer"


@pytest.mark.parametrize("late", [raising(Unavailable("down", "down")), answering])
async def test_what_began_before_a_change_of_state_says_nothing_about_it(
    breaker: CircuitBreaker, late: Callable[[], Awaitable[str]]
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        began.set()
        await go_on.wait()
        return await late()

    early = asyncio.create_task(breaker.call(slow))
    await began.wait()
    await fail(breaker, 5)
    go_on.set()
    await asyncio.wait({early})
    early.exception()
    assert (breaker.state, breaker.failures) == (OPEN, 5)


async def test_the_status_says_since_when_and_when_it_tries_again(clock: Clock) -> None:
    breakers = CircuitBreakerRegistry(clock)
    breakers.breaker("b")
    await fail(breakers.breaker("a", CircuitBreakerConfig(failures=1, seconds=10)), 1)
    clock.seconds += 4
    before = datetime.now(UTC)
    first, second = breakers.status()
    assert (first.name, first.state, first.failures) == ("a", OPEN, 1)
    assert first.tries_again == first.since + timedelta(seconds=10)
    assert abs(first.since - (before - timedelta(seconds=4))) < timedelta(seconds=3)
    assert (second.name, second.state, second.tries_again) == ("b", CLOSED, None)


async def test_a_registry_forgets_the_healthy_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilience, "MAX_SERVICES", 2)
    breakers = CircuitBreakerRegistry(clock)
    await fail(breakers.breaker("failing"), 1)
    for name in ("healthy", "new"):
        breakers.breaker(name)
    assert [one.name for one in breakers.status()] == ["failing", "new"]


async def test_the_decorator_shares_the_breaker_and_falls_back_while_it_is_open(
    clock: Clock,
) -> None:
    breakers = CircuitBreakerRegistry(clock)
    one = CircuitBreakerConfig(failures=1)

    async def instead(word: str) -> str:
        return f"instead of {word}"

    @circuit_breaker("dictionary", config=one, breakers=breakers)
    async def look_up(word: str) -> str:
        raise Unavailable("down", word)

    @circuit_breaker("dictionary", fallback=instead, breakers=breakers)
    async def translate(word: str) -> str:
        return word

    assert await translate("a") == "a"
    with pytest.raises(Unavailable, match=r"^b$"):
        await look_up("b")
    with pytest.raises(CircuitBreakerError, match="dictionary"):
        await look_up("c")
    assert await translate("d") == "instead of d"
    assert translate.__name__ == "translate"


async def test_whoever_watches_is_told_of_every_change(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    seen: list[CircuitBreakerState] = []
    with breaker.watched(lambda: seen.append(breaker.state)):
        await fail(breaker, 5)
        clock.seconds += 60
        await breaker.call(answering)
    await fail(breaker, 5)
    assert seen == [OPEN, HALF_OPEN, CLOSED]
