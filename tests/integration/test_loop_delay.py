"""How late the event loop of processes that serve others is, is measured."""

import time

import pytest

from agent_orchestration import measures
from agent_orchestration.cli import loop_delay
from agent_orchestration.cli.session import run
from agent_orchestration.measures import Distribution
from tests.integration.world import until

STALL = 0.05


def test_who_computes_without_a_pause_delays_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = Distribution("delay", "Delay")
    series = measured.values[()]
    monkeypatch.setattr(measures, "LOOP_DELAY", measured)
    monkeypatch.setattr(loop_delay, "EVERY_SECONDS", 0.001)

    async def work() -> None:
        await until(lambda: bool(sum(series.counts)), "a first look")
        ends = time.perf_counter() + STALL
        while time.perf_counter() < ends:
            pass
        await until(lambda: series.sum > STALL - 0.002, "the delay to be seen")

    run(work(), serving=True)
