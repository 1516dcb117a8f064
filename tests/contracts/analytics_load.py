"""Histories of several tenants, as the log and the feeds bring them: late, mixed and repeated."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from agent_orchestration.analytics.counting import Counting
from agent_orchestration.analytics.windows import LENGTH_MS
from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log import Log
from agent_orchestration.core.entities import node_id
from agent_orchestration.core.envelope import EventEnvelope, Record
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.pipeline.deciding import REJECTION
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, SYSTEM_EVENTS
from tests.unit.domain import Domain, snapshot
from tests.unit.examples import (
    agent,
    claim,
    complete,
    edge,
    fail,
    form,
    part,
    plan,
    reserve,
    settle,
    task,
)

CAPABILITIES: tuple[str, ...] = ("python", "review", "deploy")
MOST_PAST = 2000
"""Of what was published so much may be published again."""
Place = tuple[str, int]


class Tenant:
    """A tenant in whose history everything happens that is counted."""

    def __init__(self, name: str, draw: Random) -> None:
        self.domain = Domain(name)
        self._draw = draw
        self._round = 0
        skills = dict.fromkeys(CAPABILITIES, 800)
        self.domain.given(agent(skills=skills), agent("bob", skills, at_once=3))

    def work(self, events: int) -> list[EventEnvelope]:
        """Go on until there are so many events more, or a few more than that."""
        begin = len(self.domain.history)
        while len(self.domain.history) < begin + events:
            self._round += 1
            for command in self._commands(f"w{self._round}"):
                self.domain.when(command)
                self.domain.pass_seconds(self._draw.choice((0, 0, 0.02, 0.3, 2)))
        return self.domain.history[begin:]

    def _commands(self, name: str) -> Sequence[Command]:
        needs = {self._draw.choice(CAPABILITIES): 500}
        match self._draw.randrange(7):
            case 0:
                ends = CancelTask(task_id=name)
                return [
                    task(name, needs),
                    task(f"{name}-b", after=[edge(name, "continue")]),
                    ends,
                    *_done(f"{name}-b"),
                ]
            case 1:
                call = reserve(name, task_id=name), settle(name, self._draw.randrange(100))
                return [task(name, needs), claim(), *call, complete(name)]
            case 2:
                parts = part("a", needs), part("b", after=["a"])
                return [plan(*parts, plan_id=name), *_done(f"{name}.a"), *_done(f"{name}.b")]
            case 3:
                again = claim("bob"), complete(name, "bob", 2)
                return [task(name, needs), claim(), fail(name, retry_after_ms=0), *again]
            case 4:
                return [task(name, needs), claim(), fail(name, retryable=False)]
            case 5:
                return [agent(name), form(name, members=["ann"])]
            case _:
                return [task(name, needs), *_done(name)]


def _done(task_id: str) -> list[Command]:
    return [claim(), complete(task_id)]


class Publications:
    """What arrives in the feeds: each tenant's events out of order, some of them again much later.
    Nobody who reads one partition gets them in the order of the history."""

    def __init__(self, log: Log, draw: Random) -> None:
        self._log = log
        self._draw = draw
        self._late: list[tuple[Place, Record]] = []
        self._past: list[tuple[Place, Record]] = []
        self._offsets = 0

    async def add(self, events: Sequence[EventEnvelope]) -> None:
        """Append to the log and to the feeds."""
        for number in range(self._log.topics()[EVENTS].partitions):
            its = [e.to_record() for e in events if self._partition(EVENTS, e.tenant) == number]
            await self._append((EVENTS, number), its)
        coming = [self._addressed(event) for event in events]
        self._draw.shuffle(coming)
        late = len(coming) // 10
        arriving = [*self._late, *coming[late:]]
        self._draw.shuffle(arriving)
        self._late = coming[:late]
        self._past = (self._past + arriving)[-MOST_PAST:]
        again = self._draw.sample(self._past, len(self._past) // 10)
        await self._publish([*arriving, *again])

    async def finish(self) -> None:
        """Everything that is still under way."""
        await self._publish(self._late)

    async def refuse(self, tenant: str, times: int) -> None:
        """Teams that could not be formed, each rejection kept twice."""
        place = SYSTEM_EVENTS, self._partition(SYSTEM_EVENTS, tenant)
        for _ in range(times):
            self._offsets += 1
            headers = {
                "ce_type": REJECTION,
                "ce_tenant": tenant,
                "ce_commandposition": f"1:{self._offsets}",
            }
            await self._append(
                place, [Record(tenant.encode(), b'{"command":"FormTeam"}', headers)] * 2
            )

    def _addressed(self, event: EventEnvelope) -> tuple[Place, Record]:
        about = REGISTRY.decode_event(event.type, event.version, event.body).about()
        key = event.tenant if about is None else node_id(event.tenant, about)
        feed = REGISTRY.feeds[event.type]
        record = msgspec.structs.replace(event.to_record(), key=key.encode())
        return (feed, self._partition(feed, key)), record

    async def _publish(self, published: Sequence[tuple[Place, Record]]) -> None:
        for place in sorted({place for place, _ in published}):
            await self._append(place, [record for its, record in published if its == place])

    async def _append(self, place: Place, records: Sequence[Record]) -> None:
        for begin in range(0, len(records), 500):
            await self._log.append(*place, records[begin : begin + 500])

    def _partition(self, topic: str, key: str) -> int:
        return partition_of(key, self._log.topics()[topic].partitions)


def shown(counting: Counting) -> dict[str, Any]:
    """Everything that was counted, and what counting goes on with."""
    return {
        tenant: {
            "windows": [msgspec.to_builtins(history.windows.of(size)) for size in LENGTH_MS],
            "clock": (history.state.seq, history.state.prev, history.refused),
            "state": snapshot(history.state),
            "notes": (history.notes.ready_since, history.notes.spent_on),
        }
        for tenant, history in counting.histories.items()
    }
