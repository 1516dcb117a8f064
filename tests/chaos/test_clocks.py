"""The wall clocks of the broker and of all processes jump under load, five minutes on and back:
nothing is lost, done twice, or done too early."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.place import Place, checked, warnings, working
from tests.chaos.workflow import genome
from tests.e2e.real.installation import TOKEN
from tests.services import kafka, neo4j
from tests.services.clocks import Clock
from tests.services.jars import NotHere

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
MINUTES = 60
#: How far the broker's clock and that of the processes are from the true time, one after the other.
JUMPS = [(5, 0), (0, 0), (0, 5), (0, -5), (-5, 5), (5, -5), (0, 0)]
TENANTS = 8


@pytest.fixture
def clocks(tmp_path: Path) -> tuple[Clock, Clock]:
    """Of the broker, and of all processes of the platform."""
    try:
        return Clock(tmp_path / "broker-clock"), Clock(tmp_path / "our-clock")
    except NotHere as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@pytest.fixture
def place(tmp_path: Path, clocks: tuple[Clock, Clock]) -> Iterator[Place]:
    brokers, ours = (clock.variables for clock in clocks)
    with (
        kafka.own_broker(tmp_path / "kafka", variables=brokers) as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
        working(tmp_path, log.bootstrap_servers, graph.address, ours) as place,
    ):
        yield place


async def test_clocks_that_jump_change_nothing(
    place: Place,
    clocks: tuple[Clock, Clock],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notes = tmp_path / "notes.jsonl"
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([place.server.url], TOKEN, file)
        load = Load(clients, [f"tenant-{n}" for n in range(TENANTS)], genome(1))
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.progress(TENANTS)
            for jump in JUMPS:
                for clock, minutes in zip(clocks, jump, strict=True):
                    clock.jump(minutes * MINUTES)
                await load.progress(3 * TENANTS)
            load.enough.set()
        await clients.stop()
    found = checked(place, notes)
    with capsys.disabled():
        sys.stdout.write(
            f"\nthe clocks jumped {len(JUMPS)} times: {found['tasks completed']} of {load.created}"
            f" tasks completed, {len(warnings(place))} lines in the logs\n"
        )
    assert (found["violations"], found["wrong"]) == ([], [])
    assert found["tasks completed"] == load.created
    assert messages(place.processes, "CRITICAL") == []
