"""Kafka, Neo4j, or both are away for a while under load: who asks is told, work resumes by itself,
and nothing that was acknowledged is lost.

`AO_OUTAGE_SECONDS` says for how long (by hand: 60), `AO_MONKEY_MINUTES` how long servers and
processors are restarted one after the other (by hand, `make chaos`: 30).
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.place import Place, checked, outage, readiness, under_load, until, working
from tests.chaos.workflow import genome
from tests.e2e.real.installation import TOKEN
from tests.services import kafka, neo4j

OUTAGE = float(os.environ.get("AO_OUTAGE_SECONDS", "5"))
MONKEY_MINUTES = float(os.environ.get("AO_MONKEY_MINUTES", "0.5"))
#: So long after everything is ready the next one is restarted, in seconds.
PAUSES = (20.0, 60.0) if MONKEY_MINUTES > 5 else (2.0, 6.0)
MONKEY_TENANTS, MONKEY_CHROMOSOMES = (20, 10) if MONKEY_MINUTES > 5 else (8, 2)

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(900 + 10 * OUTAGE + 90 * MONKEY_MINUTES),
]


class Engines(NamedTuple):
    """What may be away."""

    log: kafka.Broker
    graph: neo4j.JarServer

    def away(self, names: Sequence[str]) -> None:
        """They crash."""
        for name in names:
            getattr(self, name).kill()

    def back(self, names: Sequence[str]) -> None:
        """They are started again."""
        for name in names:
            getattr(self, name).start()


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with (
        kafka.own_broker(tmp_path / "kafka") as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
    ):
        yield Engines(log, graph)


@pytest.fixture
def place(tmp_path: Path, engines: Engines) -> Iterator[Place]:
    with working(tmp_path, engines.log.bootstrap_servers, engines.graph.address) as place:
        yield place


@pytest.mark.parametrize("names", [("log",), ("graph",), ("log", "graph")], ids="-".join)
async def test_work_resumes_after(
    engines: Engines,
    place: Place,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
) -> None:
    async with under_load(place, tmp_path) as trial:
        away, back = partial(engines.away, names), partial(engines.back, names)
        noticed, checks = await outage(place, away, back, OUTAGE)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{' and '.join(names)} away for {OUTAGE:.0f} s: noticed after {noticed:.1f} s,"
            f" {trial}\n"
        )
    for name in names:
        assert not checks[name]["ok"], checks
        assert checks[name]["detail"]
    trial.check(OUTAGE)


async def test_everything_is_restarted_one_after_the_other(
    engines: Engines, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)
    notes = tmp_path / "notes.jsonl"
    recovered: dict[str, list[float]] = {}
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([place.server.url], TOKEN, file)
        tenants = [f"tenant-{n}" for n in range(MONKEY_TENANTS)]
        load = Load(clients, tenants, genome(MONKEY_CHROMOSOMES))
        ends = time.monotonic() + 60 * MONKEY_MINUTES
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            while time.monotonic() < ends or not load.every_run_completed or len(recovered) < 3:
                await load.progress(1)
                await asyncio.sleep(chance.uniform(*PAUSES))
                name = chance.choice(["log", "graph", "processor"])
                recovered.setdefault(name, []).append(await restarted(engines, place, name))
            load.enough.set()
        await clients.stop()
    found = checked(place, notes)
    with capsys.disabled():
        for name, seconds in sorted(recovered.items()):
            sys.stdout.write(
                f"\n{name} restarted {len(seconds)} times, ready after {min(seconds):.1f} to"
                f" {max(seconds):.1f} s"
            )
        sys.stdout.write(f"\n{json.dumps(found)}\n")
    assert (found["violations"], found["wrong"]) == ([], [])
    assert found["tasks completed"] == load.created
    assert messages(place.processes, "CRITICAL") == []


async def restarted(engines: Engines, place: Place, name: str) -> float:
    """End it at once, start it again; the seconds until everybody is ready."""
    if name == "processor":
        for process in place.processors:
            process.kill()
            process.start()
    else:
        await asyncio.to_thread(engines.away, [name])
        await asyncio.to_thread(engines.back, [name])

    def ready() -> bool:
        return readiness(place.server)["ready"] and all(one.ready() for one in place.processors)

    return await until(ready, f"everybody ready after {name}", 300)
