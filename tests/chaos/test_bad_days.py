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
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Busy, Unavailable
from agent_orchestration.remote import RemoteDispatcher
from tests.chaos.checker import check_installation
from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.test_many_processes import graph_is_there
from tests.chaos.workflow import genome
from tests.e2e.program import wait_for
from tests.e2e.real.installation import TOKEN, Installation, Process, Server, installed
from tests.services import kafka, neo4j

OUTAGE = float(os.environ.get("AO_OUTAGE_SECONDS", "5"))
MONKEY_MINUTES = float(os.environ.get("AO_MONKEY_MINUTES", "0.5"))
#: So long after everything is ready the next one is restarted, in seconds.
PAUSES = (20.0, 60.0) if MONKEY_MINUTES > 5 else (2.0, 6.0)
MONKEY_TENANTS, MONKEY_CHROMOSOMES = (20, 10) if MONKEY_MINUTES > 5 else (8, 2)
TENANTS = 8
#: How long a caller may be left without an answer.
ANSWER_SECONDS = 60.0
#: How many lines at level WARNING or above a process may write in a minute of outage.
LINES_A_MINUTE = 60

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
        for name in names:
            getattr(self, name).kill()

    def back(self, names: Sequence[str]) -> None:
        for name in names:
            getattr(self, name).start()


class Place(NamedTuple):
    """An installation at work."""

    installation: Installation
    engines: Engines
    processors: list[Process]
    server: Server


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with (
        kafka.own_broker(tmp_path / "kafka") as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
        installed(tmp_path, graph.address, bootstrap_servers=log.bootstrap_servers) as prepared,
    ):
        processors = [prepared.processor(f"processor-{n}") for n in range(2)]
        server = prepared.server("server")
        for process in (*processors, server):
            wait_for(process.ready, f"{process.name} to be ready")
        yield Place(prepared, Engines(log, graph), processors, server)


def readiness(server: Server) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{server.url}/ready", timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


async def until(condition: Any, what: str, seconds: float = 120.0) -> float:
    """Wait for it; how many seconds that took."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - began < seconds, f"waited in vain for {what}"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


class Prober:
    """Somebody who asks all the time, and notes what they are told."""

    def __init__(self, server: Server) -> None:
        self._remote = RemoteDispatcher(server.url, TOKEN, REGISTRY, ANSWER_SECONDS + 30)
        self.accepted: list[str] = []
        self.refused = 0
        self.longest = 0.0
        self._number = 0

    async def ask(self) -> bool:
        """Whether a command was accepted, and its effect can be read."""
        self._number += 1
        name = f"probe-{self._number}"
        began = time.monotonic()
        try:
            arguments = {"id": name, "title": name, "idempotency_key": name}
            answer = await self._remote.call("create_task", arguments, Caller(tenant="prober"))
            self.accepted.append(name)
            return not answer.get("stale")
        except (Busy, Unavailable):
            self.refused += 1
            return False
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    async def run(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(0.5)

    async def every_acknowledged_is_there(self) -> None:
        caller = Caller(tenant="prober")
        for name in self.accepted:
            assert (await self._remote.call("get_task", {"task_id": name}, caller))["task"]
        await self._remote.close()


@pytest.mark.parametrize("names", [("log",), ("graph",), ("log", "graph")], ids="-".join)
async def test_work_resumes_after(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...]
) -> None:
    notes = tmp_path / "notes.jsonl"
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([place.server.url], TOKEN, file)
        load = Load(clients, [f"tenant-{n}" for n in range(TENANTS)], genome(2))
        prober = Prober(place.server)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.progress(20)
            said = len(warnings(place))
            probing = group.create_task(prober.run())
            await asyncio.to_thread(place.engines.away, names)
            noticed = await until(lambda: not readiness(place.server)["ready"], "who notices", 60)
            checks = readiness(place.server)["checks"]
            await asyncio.sleep(max(OUTAGE - noticed, 0))
            await asyncio.to_thread(place.engines.back, names)
            back = time.monotonic()
            await until(lambda: readiness(place.server)["ready"], "the server to be ready")
            accepted = len(prober.accepted)
            await until(lambda: len(prober.accepted) > accepted, "a command to be accepted")
            recovered = time.monotonic() - back
            lines = len(warnings(place)) - said
            await load.progress(20)
            probing.cancel()
            load.enough.set()
        await clients.stop()
    await prober.every_acknowledged_is_there()
    found = checked(place, notes)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{' and '.join(names)} away for {OUTAGE:.0f} s: noticed after {noticed:.1f} s,"
            f" recovered {recovered:.1f} s after it was back; {prober.refused} refused and"
            f" {len(prober.accepted)} accepted, the longest answer {prober.longest:.1f} s;"
            f" {lines} lines in the logs; {found['tasks completed']} tasks,"
            f" {found['double events']} double events\n"
        )
    for name in names:
        assert not checks[name]["ok"], checks
        assert checks[name]["detail"]
    assert found["violations"] == []
    wrong = [one for one in found["wrong"] if "prober" not in one]
    assert wrong == []
    assert prober.longest < ANSWER_SECONDS + 10
    assert messages([*place.processors, place.server], "CRITICAL") == []
    assert lines <= 3 * LINES_A_MINUTE * max(OUTAGE / 60, 1)


async def test_everything_is_restarted_one_after_the_other(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
                recovered.setdefault(name, []).append(await restarted(place, name))
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
    assert messages([*place.processors, place.server], "CRITICAL") == []


async def restarted(place: Place, name: str) -> float:
    """End it at once, start it again; the seconds until everybody is ready."""
    if name == "processor":
        for process in place.processors:
            process.kill()
            process.start()
    else:
        await asyncio.to_thread(place.engines.away, [name])
        await asyncio.to_thread(place.engines.back, [name])

    def ready() -> bool:
        return readiness(place.server)["ready"] and all(one.ready() for one in place.processors)

    return await until(ready, f"everybody ready after {name}", 300)


def checked(place: Place, notes: Path) -> dict[str, Any]:
    """What the independent checker finds once the graph has the whole log."""
    place.server.kill()
    wait_for(lambda: graph_is_there(place.installation), "the graph to have the whole log")
    address = place.installation.database
    auth = (address.username, address.password)
    return check_installation(
        place.installation.bootstrap_servers, place.installation.prefix, address.uri, auth, notes
    )


def warnings(place: Place) -> list[dict[str, Any]]:
    processes = [*place.processors, place.server]
    return [one for level in ("WARNING", "ERROR") for one in messages(processes, level)]
