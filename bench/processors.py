"""Clients that never stop, answered by processors in processes of their own.

`python -m bench.processors --config FILE` prints rates and pauses as JSON.
"""

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.pipeline.partitions import partition_of
from bench.lifecycles import CLIENTS, Client, lifecycle, register
from bench.processes import ROOT
from bench.tenants import tenants

TENANTS = 64
SETTLED_SECONDS = 5.0
#: A processor that is killed is missed after its session is over, 15 s.
CHANGE_SECONDS = 30.0


class Answers:
    """When answers came, by partition."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._times: defaultdict[int, list[float]] = defaultdict(list)
        self.lifecycles = 0

    def note(self, tenant: str) -> None:
        """A lifecycle of the tenant was completed now."""
        self.lifecycles += 1
        self._times[partition_of(tenant, self._partitions)].append(time.perf_counter())

    def longest_pause(self, since: float) -> float:
        """Seconds from one completed lifecycle to the next, or until now, in the partition where
        that took longest."""
        now = time.perf_counter()
        pauses = [0.0]
        for times in self._times.values():
            recent = [since, *(moment for moment in times if moment > since), now]
            pauses.append(max(b - a for a, b in itertools.pairwise(recent)))
        return max(pauses)


class Processors:
    """The processes; each is ready when its `start` returns."""

    def __init__(self, config: Path) -> None:
        self._words = ("-m", "agent_orchestration", "processor", "--json", "--config", str(config))
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        """One more."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *self._words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        self._running.append(process)
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise RuntimeError(f"a processor ended with {await process.wait()}")

    async def end(self, how: signal.Signals) -> None:
        """The one that was started last."""
        process = self._running.pop()
        process.send_signal(how)
        await process.wait()

    async def end_all(self) -> None:
        """At the end."""
        while self._running:
            await self.end(signal.SIGTERM)


@contextlib.asynccontextmanager
async def working(
    platform: Platform, clients: Sequence[Client], answers: Answers
) -> AsyncGenerator[None]:
    """Meanwhile every client does one lifecycle after the other."""
    stopped = asyncio.Event()

    async def work(client: Client) -> None:
        while not stopped.is_set():
            # Who cannot be answered for long is told so, and asks again.
            with contextlib.suppress(PlatformError):
                await lifecycle(platform.bus, client, 0)
                answers.note(client.caller.tenant)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(work(client))
        try:
            yield
        finally:
            stopped.set()


async def measured(
    config: Config, file: Path, count: int, seconds: float, *, changes: bool
) -> dict[str, object]:
    """The rate with so many processors; the longest pauses when that number changes."""
    partitions = config.kafka.num_partitions
    answers, processors = Answers(partitions), Processors(file)
    platform = Platform(open_backends(config), process=process_name(), decides=False)
    pauses: dict[str, float] = {}
    try:
        for _ in range(count):
            await processors.start()
        await platform.start()
        clients = await register(platform, CLIENTS, tenants(TENANTS, partitions))
        async with working(platform, clients, answers):
            await asyncio.sleep(min(SETTLED_SECONDS, seconds))
            began, before = time.perf_counter(), answers.lifecycles
            await asyncio.sleep(seconds)
            rate = (answers.lifecycles - before) / (time.perf_counter() - began)
            calm = answers.longest_pause(began)
            if changes:
                for name, change in (
                    ("leaves", processors.end(signal.SIGTERM)),
                    ("joins", processors.start()),
                    ("is killed", processors.end(signal.SIGKILL)),
                ):
                    since = time.perf_counter()
                    await change
                    await asyncio.sleep(CHANGE_SECONDS)
                    pauses[name] = answers.longest_pause(since)
    finally:
        await platform.stop()
        await processors.end_all()
    return {"rate": rate, "calm": calm, "pauses": pauses}


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.processors", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--processors", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--changes", action="store_true", help="have one leave, join, be killed")
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    work = measured(config, given.config, given.processors, given.seconds, changes=given.changes)
    print_json(msgspec.to_builtins(run(work, serving=True)))


if __name__ == "__main__":
    main()
