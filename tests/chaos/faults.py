"""What goes wrong: processes are killed and started again, and paused for longer than the group
waits for them. A seed decides which and in which order; the work that gets done decides when."""

import asyncio
import json
import random
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent_orchestration.backends.log.kafka.connection import connected
from agent_orchestration.backends.log.kafka.groups import Group, find_group
from agent_orchestration.config_kafka import Kafka
from tests.chaos.load import PATIENCE, Load
from tests.e2e.real.installation import Installation, Process, Server

GROUP = "agent_event_processor"
#: What a process says that wanted to go on with a partition which others had taken over.
REFUSALS = {
    "members refused by the group": "member_id was not recognized",
    "positions refused by the group": "the group has moved on",
    "folds refused by the graph": "another projector moved partition",
}
REBALANCES = ("because it is rebalancing", "member_id was not recognized")
MOST_PAUSES = 6


class Faults:
    """Happen to the processes as long as the work goes on. `counts` says how often."""

    def __init__(
        self,
        seed: int,
        installation: Installation,
        processors: Sequence[Process],
        servers: Sequence[Server],
        load: Load,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._installation = installation
        self._processors = processors
        self._servers = servers
        self._load = load

    async def run(self) -> None:
        """At least four processors and two servers are killed, two processors paused together; and
        again until one of them was refused a write, and as long as some tenant's run is not
        over."""
        steps = [self._kill_processor] * 4 + [self._kill_server] * 2
        self._random.shuffle(steps)
        steps.insert(self._random.randint(1, len(steps) - 1), self._pause_two)
        for step in steps:
            await self._one(step)
        while not self.late_writes() and self.counts["paused"] < 2 * MOST_PAUSES:
            await self._one(self._pause_two)
        while not self._load.every_run_completed:
            await self._one(self._random.choice(steps))
        await self._all_are_members()
        self._load.enough.set()

    def refused(self) -> Counter[str]:
        """How often a process was refused what was no longer its to do."""
        found: Counter[str] = Counter()
        for name, words in REFUSALS.items():
            found[name] = self._said(words)
        return found

    def late_writes(self) -> int:
        """How often a process wanted to write as the owner that it was no longer."""
        found = self.refused()
        return found["positions refused by the group"] + found["folds refused by the graph"]

    def rebalances(self) -> int:
        """How often a member was told that the group was being divided anew."""
        return sum(map(self._said, REBALANCES))

    def _said(self, words: str) -> int:
        return sum(process.log.read_text("utf-8").count(words) for process in self._processors)

    async def _one(self, step: Callable[[], Awaitable[None]]) -> None:
        tenants = len(self._load.runs)
        await self._load.progress(self._random.randint(tenants, 4 * tenants))
        await step()

    async def _kill_processor(self) -> None:
        self._kill(self._random.choice(self._processors))
        self.counts["processors killed"] += 1

    async def _kill_server(self) -> None:
        self._kill(self._random.choice(self._servers))
        self.counts["servers killed"] += 1

    def _kill(self, process: Process) -> None:
        process.kill()
        process.start()

    def _start_again(self) -> None:
        """What ended by itself, because no broker answered in time, is started again, as by
        whatever looks after processes in a deployment."""
        for process in (*self._processors, *self._servers):
            if not process.alive:
                process.start()
                self.counts["ended by themselves"] += 1

    async def _pause_two(self) -> None:
        await self._all_are_members()
        two = self._random.sample(self._processors, 2)
        # In the middle of something, which they will want to go on with.
        await self._load.burst()
        for process in two:
            process.send(signal.SIGSTOP)
        pids = {process.pid for process in two}
        await self._until(lambda members: not members & pids, "the paused to be given up")
        # No longer than that: after 20 s their own limits of time would end what they were doing.
        await self._load.progress(1)
        for process in two:
            process.send(signal.SIGCONT)
        self.counts["paused"] += 2
        await self._all_are_members()

    async def _all_are_members(self) -> None:
        pids = {process.pid for process in self._processors}
        await self._until(lambda members: members == pids, "all processors to be members")

    async def _until(self, condition: Callable[[set[int]], bool], what: str) -> None:
        settings = Kafka(
            bootstrap_servers=self._installation.bootstrap_servers,
            prefix=self._installation.prefix,
        )
        # The driver has much to do, and its questions are answered late.
        async with connected(settings, seconds=PATIENCE) as connection:
            try:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        self._start_again()
                        group = await find_group(connection, settings.prefix + GROUP)
                        if group.state == "Stable" and condition(_pids(group)):
                            return
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise AssertionError(f"waited in vain for {what}") from None


def _pids(group: Group) -> set[int]:
    return {int(found[1]) for one in group.members if (found := re.search(r"-(\d+)$", one.client))}


def messages(processes: Sequence[Process], level: str) -> list[dict[str, Any]]:
    """What processes said in their logs at this level."""
    lines = [line for process in processes for line in process.log.read_bytes().splitlines()]
    found = [json.loads(line) for line in lines if line.startswith(b"{")]
    return [one for one in found if one["level"] == level]
