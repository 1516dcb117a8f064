"""More work than can be done, through the front door, on Kafka and Neo4j.

`python -m bench.overload --config FILE` prints as JSON what clients reach that wait for each
answer, and what becomes of twice that rate, whose clients come at fixed times.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.app import open_backends
from agent_orchestration.backends import Backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.errors import Busy, Unavailable
from agent_orchestration.pipeline.topology import EVENTS
from bench.http_calls import HttpCalls
from bench.lifecycles import CLIENTS
from bench.own_writes import every
from bench.processes import ROOT
from bench.tenants import tenants

TENANTS = 8
OVERLOAD = 2.0
#: New servers are slow for long: clients that wait for each answer go on until they reach less than
#: so many times what they did before, or had so many rounds.
GROWS, ROUNDS = 1.1, 8
SAMPLE_SECONDS = 1.0
_TOKEN = "only-for-measurements"  # noqa: S105
#: How many tasks an agent may hold: nobody waits for an agent.
_ROOM = 10_000


class Phase(msgspec.Struct):
    """What clients were told; times in seconds, `took` of each accepted call, `done` when each
    lifecycle was. `refused` counts those that were refused at their first step, `repeated` the
    later steps that were asked again, `unknown` the lifecycles left because of another answer."""

    began: float = msgspec.field(default_factory=time.perf_counter)
    offered: int = 0
    refused: int = 0
    repeated: int = 0
    unknown: int = 0
    took: list[float] = msgspec.field(default_factory=list[float])
    done: list[float] = msgspec.field(default_factory=list[float])

    def rate(self, since: float, until: float) -> float:
        """Lifecycles finished in a second."""
        return sum(since <= moment < until for moment in self.done) / (until - since)

    def percentile(self, part: float) -> float:
        """Of what accepted calls took, in milliseconds."""
        ascending = sorted(self.took) or [0.0]
        return 1000 * ascending[min(int(part * len(ascending)), len(ascending) - 1)]

    def percentiles(self) -> dict[str, float]:
        """The median, the 99th, and the longest."""
        return {str(part): self.percentile(part) for part in (0.5, 0.99, 1.0)}


class Lifecycles:
    """Create, claim, start, complete, each acknowledged and in the graph before the next."""

    def __init__(self, calls: HttpCalls, names: Sequence[str]) -> None:
        self._call = calls
        self._names = names
        self._number = 0

    async def register(self) -> None:
        """The agent of each tenant."""
        for name in self._names:
            await self._call("register_agent", name, **agent(name), max_concurrency=_ROOM)

    async def one(self, phase: Phase) -> None:
        """One lifecycle. What was accepted is carried to its end, however often that takes."""
        self._number += 1
        phase.offered += 1
        tenant = self._names[self._number % len(self._names)]
        try:
            await self._timed(phase, "create_task", tenant, title=f"Task number {self._number}")
        except Busy:
            phase.refused += 1
            return
        except Unavailable:
            phase.unknown += 1
            return
        try:
            step = {"agent_id": tenant, "start": False}
            claimed = await self._patiently(phase, "claim_task", tenant, **step)
            held = {"agent_id": tenant, "attempt": claimed["attempt"]}
            held["task_id"] = claimed["task"]["id"]
            await self._patiently(phase, "start_task", tenant, **held)
            await self._timed(phase, "complete_task", tenant, **held)  # never refused
        except Unavailable:
            phase.unknown += 1
            return
        phase.done.append(time.perf_counter())

    async def _patiently(
        self, phase: Phase, tool: str, tenant: str, **arguments: Any
    ) -> dict[str, Any]:
        while True:
            try:
                return await self._timed(phase, tool, tenant, **arguments)
            except Busy as error:
                phase.repeated += 1
                await asyncio.sleep(error.details["retry_after"] * random.uniform(1, 1.5))

    async def _timed(self, phase: Phase, tool: str, tenant: str, **arguments: Any) -> Any:
        began = time.perf_counter()
        answer = await self._call(tool, tenant, **arguments)
        phase.took.append(time.perf_counter() - began)
        return answer


def agent(name: str) -> dict[str, Any]:
    """What registers an agent that can do what anybody can."""
    return {"id": name, "name": name, "kind": "function", "capabilities": []}


class Memory:
    """Resident memory of processes, in MB, as often as it is asked for."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self.samples: dict[str, list[float]] = {name: [] for name in pids}

    async def run(self) -> None:
        """Look until cancelled; where the system does not tell, there is nothing."""
        while True:
            for name, pid in self._pids.items():
                if size := resident(pid):
                    self.samples[name].append(size)
            await asyncio.sleep(SAMPLE_SECONDS)


def resident(pid: int) -> float:
    """The resident memory of a process, in MB; 0 where the system does not tell."""
    file = Path(f"/proc/{pid}/status")
    if not file.exists():
        return 0.0
    found = re.search(r"^VmRSS:\s+(\d+)", file.read_text("utf-8"), re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


@contextlib.asynccontextmanager
async def started(file: Path, *words: str) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
    """A process of the installation; its id, and what it says of itself once it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "agent_orchestration", *words, "--json", "--config", str(file)),
        cwd=ROOT,
        env={**os.environ, "AGENT_ORCHESTRATION_TOKEN": _TOKEN},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{words[0]} ended with {await process.wait()}")
        yield process.pid, json.loads(line)
    finally:
        process.terminate()
        await process.wait()


async def closed_loop(work: Lifecycles, seconds: float) -> Phase:
    """Clients that each wait for every answer."""
    phase = Phase()

    async def client() -> None:
        while time.perf_counter() < phase.began + seconds:
            await work.one(phase)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return phase


async def settled(work: Lifecycles, seconds: float) -> Phase:
    """Rounds of so many seconds until one reaches no more than the one before; that one."""
    phase, before, rounds = await closed_loop(work, seconds), 0.0, 1
    while rounds < ROUNDS and (rate := phase.rate(phase.began, phase.began + seconds)) > (
        GROWS * before
    ):
        phase, before, rounds = await closed_loop(work, seconds), rate, rounds + 1
    return phase


async def lag(backends: Backends, partitions: int) -> int:
    """How many events the graph does not have."""
    behind = 0
    for number in range(partitions):
        position = await backends.graph.position(number)  # first: what it has, the log has, too
        _, end = await backends.log.bounds(EVENTS, number)
        behind += end - (position[1] if position else 0)
    return behind


async def caught_up(backends: Backends, partitions: int) -> None:
    """Wait until the graph has every event. Another process folds: nobody tells us."""
    while True:
        if not await lag(backends, partitions):
            return
        await asyncio.sleep(0.1)


async def measured(config: Config, file: Path, warm: float, seconds: float) -> dict[str, Any]:
    """The peak, twice its rate for so many seconds, and the peak again: what else the machine does
    may have hidden it the first time."""
    partitions = config.kafka.num_partitions
    backends = open_backends(config)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(backends.stop)
        await backends.start()
        processor, _ = await stack.enter_async_context(started(file, "processor"))
        words = ("serve", "--port", "0", "--tools", "all")
        server, facts = await stack.enter_async_context(started(file, *words))
        calls = HttpCalls(facts["url"], _TOKEN)
        stack.callback(calls.close)
        work = Lifecycles(calls, tenants(TENANTS, partitions))
        await work.register()
        calm = await settled(work, warm)
        offered = OVERLOAD * max(calm.rate(calm.began, calm.began + warm), 1.0)
        memory = Memory({"server": server, "processor": processor})
        watching = asyncio.create_task(memory.run())
        stack.callback(watching.cancel)
        busy, spent = Phase(), time.process_time()
        end = busy.began + seconds

        async def look() -> tuple[int, float]:
            await asyncio.sleep(seconds)
            return await lag(backends, partitions), time.process_time() - spent

        looking = asyncio.create_task(look())
        await every(1 / offered, seconds, lambda: work.one(busy))
        behind, client = await looking
        await caught_up(backends, partitions)
        late = time.perf_counter() - end
        after = await closed_loop(work, warm)
        peak = max(one.rate(one.began, one.began + warm) for one in (calm, after))
        return {
            "seconds": seconds,
            "peak": peak,
            "calm": calm.percentiles(),
            "goodput": busy.rate(busy.began, end),
            "busy": busy.percentiles(),
            "offered": busy.offered,
            "times": offered / peak if peak else 0.0,
            "refused": busy.refused,
            "repeated": busy.repeated,
            "unknown": busy.unknown,
            "lag": behind,
            "caught_up": late,
            "client": client / seconds,
            "memory": {name: _thirds(found) for name, found in memory.samples.items() if found},
        }


def _thirds(samples: Sequence[float]) -> list[float]:
    """The medians of the beginning, the middle and the end, each a third."""
    size = max(len(samples) // 3, 1)
    parts = (samples[:size], samples[size : 2 * size] or samples, samples[-size:])
    return [statistics.median(part) for part in parts]


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--warm", type=float, default=30.0, help="seconds of a round of the peak")
    parser.add_argument("--seconds", type=float, default=180.0, help="of the overload")
    given = parser.parse_args()
    collect_rarely()
    work = measured(load_config(given.config), given.config, given.warm, given.seconds)
    print_json(run(work, serving=True))


if __name__ == "__main__":
    main()
