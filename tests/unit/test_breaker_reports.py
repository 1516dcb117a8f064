"""What is reported of the circuit breaker of an agent's service, and how often."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import PlatformError, Rejected, Unavailable
from agent_orchestration.resilience import CircuitBreaker, CircuitBreakerConfig
from agent_orchestration.workers import breaker_reports
from agent_orchestration.workers.breaker_reports import LONGEST_NAME, report_breaker
from agent_orchestration.workers.calls import PatientCalls
from tests.unit.platform_double import PlatformDouble
from tests.unit.test_worker import until


class Service:
    """A service that fails or answers, behind a breaker that opens at once and tries at once."""

    def __init__(self) -> None:
        self.now = 0.0
        config = CircuitBreakerConfig(failures=1, seconds=1)
        self.breaker = CircuitBreaker("s" * 300, config, lambda: self.now)
        self.platform = PlatformDouble()

    async def fails(self) -> None:
        async def fail() -> None:
            raise Unavailable("down", "down")

        with pytest.raises(Unavailable):
            await self.breaker.call(fail)

    async def answers(self) -> None:
        async def answer() -> None: ...

        self.now += 1
        await self.breaker.call(answer)

    @asynccontextmanager
    async def reported(self) -> AsyncGenerator[asyncio.Task[None]]:
        calls = PatientCalls(self.platform, Caller())
        task = asyncio.create_task(report_breaker(calls, "ann", self.breaker))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait((task,))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(breaker_reports, "PAUSE_SECONDS", 0.05)
    return Service()


async def test_the_present_state_is_reported_first_and_then_every_change(service: Service) -> None:
    said = service.platform.breakers
    async with service.reported():
        await until(lambda: said == [("ann", "s" * LONGEST_NAME, "closed")])
        await service.fails()
        await until(lambda: len(said) == 2)
        await service.answers()
        await until(lambda: len(said) == 3)
    assert [state for _, _, state in said] == ["closed", "open", "closed"]


async def test_a_flapping_breaker_is_one_report_of_the_latest_state(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = service.platform.breakers
    async with service.reported():
        await until(lambda: len(said) == 1)
        for _ in range(100):
            await service.fails()
            await service.answers()
        await service.fails()
        await until(lambda: len(said) == 2)
    assert [state for _, _, state in said] == ["closed", "open"]


async def test_a_report_that_did_not_arrive_is_repeated_before_the_next(service: Service) -> None:
    def lost(tool: str, number: int) -> PlatformError | None:
        return Unavailable("no_answer", "lost") if number == 1 else None

    service.platform.before = lost
    said = service.platform.breakers
    async with service.reported():
        await until(lambda: service.platform.calls["report_circuit_breaker"] == 1)
        await service.fails()
        await until(lambda: len(said) == 2)
    assert [state for _, _, state in said] == ["closed", "open"]


async def test_it_ends_where_the_platform_does_not_want_to_hear_of_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.platform.before = lambda _tool, _number: Rejected("agent_retired", "ann is retired")
    with caplog.at_level(logging.WARNING):
        async with service.reported() as reporting:
            await reporting
    assert "breakers of ann are not reported: ann is retired" in caplog.text
