"""A platform under test: its log and graph can fail, stall and be looked into; time can stand."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from agent_orchestration.app import REGISTRY, Platform, open_backends, wall_clock
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import LOCAL_OPERATOR, Caller
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, StoredRecord
from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.loading import load_tenant
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, PARTITIONS
from tests.integration.watched import WatchedGraph, WatchedLog
from tests.unit.domain import replay, snapshot

PATIENCE = 20.0
#: Between two looks at a condition the threads of the graph get their turn.
POLL = 0.0005


async def others_go_on() -> None:
    """Let everybody else go on for a while."""
    for _ in range(200):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Let everybody else go on until the condition holds; fails after a while."""
    await until_async(lambda: asyncio.sleep(0, condition()), what)


async def until_async(condition: Callable[[], Awaitable[bool]], what: str = "") -> None:
    """The same for a condition that has to be asked for."""
    ends = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < ends, f"waited in vain: {what}"
        await asyncio.sleep(POLL)


class World:
    """A platform on a folder, its log and graph, and short ways to use them."""

    def __init__(
        self, folder: Path, clock: Callable[[], int] = wall_clock, **settings: Any
    ) -> None:
        self.folder = folder
        self.log: WatchedLog
        self.graph: WatchedGraph
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agent_orchestration.backends.embedded.SqliteLog", self._make_log)
            patch.setattr("agent_orchestration.backends.embedded.KgliteGraph", self._make_graph)
            self.platform = Platform(open_backends(Config(data=folder, **settings), clock), clock)

    def _make_log(self, path: Path, topics: Any, clock: Callable[[], int]) -> WatchedLog:
        self.log = WatchedLog(path, topics, clock)
        return self.log

    def _make_graph(self, path: Path, entities: Any) -> WatchedGraph:
        self.graph = WatchedGraph(path, entities)
        return self.graph

    async def __aenter__(self) -> Self:
        try:
            await self.platform.start()
        except BaseException:
            await self.platform.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.graph.gate.open()
        await self.platform.stop()

    async def call(self, tool: str, tenant: str = DEFAULT_TENANT, /, **arguments: Any) -> Any:
        """Run a tool as the local operator of a tenant."""
        return await self.platform.call(tool, arguments, Caller(tenant=tenant))

    async def agent(self, name: str, tenant: str = DEFAULT_TENANT, /, **more: Any) -> Any:
        """Register an agent that can do nothing in particular."""
        given: dict[str, Any] = {"id": name, "name": name, "kind": "function", "capabilities": []}
        given |= more
        return await self.call("register_agent", tenant, **given)

    async def task(self, name: str, tenant: str = DEFAULT_TENANT, /, **more: Any) -> Any:
        """Create a task."""
        return await self.call("create_task", tenant, **{"id": name, "title": name, **more})

    async def ready(self) -> dict[str, Any]:
        """Wait until every partition is at work; answers the status."""

        async def is_ready() -> bool:
            return bool((await self.platform.status())["ready"])

        await until_async(is_ready, "ready")
        return await self.platform.status()

    async def events(self, tenant: str = DEFAULT_TENANT) -> list[EventEnvelope]:
        """The tenant's history, from the log."""
        records = await self.records(EVENTS, partition_of(tenant, PARTITIONS))
        envelopes = [EventEnvelope.from_record(r) for r in records if "ce_seq" in r.headers]
        return [envelope for envelope in envelopes if envelope.tenant == tenant]

    async def types(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        """The types of the tenant's events in order."""
        return [envelope.type for envelope in await self.events(tenant)]

    async def records(self, topic: str, partition: int | None = None) -> list[StoredRecord]:
        """All records of a topic, or of one of its partitions."""
        numbers = range(self.log.topics()[topic].partitions) if partition is None else [partition]
        whole = ClaimCheckLog(self.log, FolderBlobs(self.folder / "blobs"))
        found: list[StoredRecord] = []
        for number in numbers:
            place, _ = await whole.bounds(topic, number)
            while more := await whole.read(topic, number, place, 1_000_000):
                found += more
                place = more[-1].offset + 1
        return found

    async def inject(
        self,
        command: Command,
        command_id: str,
        tenant: str = DEFAULT_TENANT,
        key: str | None = None,
    ) -> None:
        """Append a command to the log behind the bus's back."""
        envelope = CommandEnvelope(
            id=command_id,
            tenant=tenant,
            type=type(command).__name__,
            body=canonical(command),
            principal=LOCAL_OPERATOR,
            key=key,
        )
        partition = partition_of(tenant, PARTITIONS)
        await self.log.append(COMMANDS, partition, [envelope.to_record()])

    async def settled(self, tenant: str = DEFAULT_TENANT) -> None:
        """Wait until what is in the tenant's partition by now was decided and is in the graph."""
        await self._settled(partition_of(tenant, PARTITIONS))

    async def settled_everywhere(self) -> None:
        """Wait until what is in the log by now was decided and is in the graph."""
        for number in range(PARTITIONS):
            await self._settled(number)

    async def _settled(self, number: int) -> None:
        async def is_settled() -> bool:
            _, commands = await self.log.bounds(COMMANDS, number)
            _, events = await self.log.bounds(EVENTS, number)
            detail = (await self.platform.status())["checks"][f"partition-{number}"]["detail"]
            return detail == f"at command {commands}, event {events}"

        await until_async(is_settled, "settled")

    async def in_graph(self, tenant: str = DEFAULT_TENANT) -> TenantState:
        """The tenant's state as the graph has it."""
        return await load_tenant(self.graph, REGISTRY, tenant)

    async def is_fold_of_log(self, tenant: str = DEFAULT_TENANT) -> None:
        """The law: what is loaded from the graph is the fold of the log, and `seq` has no gap."""
        await self.settled(tenant)
        history = await self.events(tenant)
        assert [envelope.seq for envelope in history] == list(range(1, len(history) + 1))
        folded, loaded = replay(history, tenant), await self.in_graph(tenant)
        assert loaded.seq == folded.seq
        assert live(loaded) == live(folded)

    async def rebuilt_equal(self) -> dict[str, Any]:
        """Rebuild; the graph must be the same afterwards."""
        steps = [step async for step in self.platform.operate(Rebuild())]
        assert steps[-1]["equal"], steps[-1]
        return steps[-1]

    async def fingerprint(self) -> str:
        """The graph's."""
        return await fingerprint(self.graph, REGISTRY.entities.values())


def live(state: TenantState) -> dict[str, dict[str, bytes]]:
    """A snapshot without what need not be in memory."""
    living = {
        (label, entity.id)
        for label, cls in REGISTRY.entities.items()
        for entity in state.all(cls)
        if entity.is_live()
    }
    return {
        label: {name: body for name, body in entities.items() if (label, name) in living}
        for label, entities in snapshot(state).items()
    }


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Time passes."""
        self.now += round(seconds * 1000)


def tenant_on(partition: int, number: int = 0) -> str:
    """The name of a tenant that lives on that partition."""
    names = (f"tenant-{n}" for n in range(1000))
    return [n for n in names if partition_of(n, PARTITIONS) == partition][number]
