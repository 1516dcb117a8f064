"""Composition root: which domain modules there are, and how they run on which backends."""

import asyncio
import contextlib
import functools
import os
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from agent_orchestration.analytics.in_process import LogAnalytics
from agent_orchestration.backends import Backends
from agent_orchestration.backends.embedded import EmbeddedBackends
from agent_orchestration.backends.graph.read_only import ReadOnlyRunner
from agent_orchestration.config import Config
from agent_orchestration.core.analytics import Analytics
from agent_orchestration.core.dispatch import Caller, authorise
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Forbidden, NotFound, PlatformError
from agent_orchestration.core.folding import RULES
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.core.tool import Rows
from agent_orchestration.domain import (
    agents,
    artifacts,
    budgets,
    capabilities,
    conversations,
    insight,
    plans,
    tasks,
    teams,
    templates,
    tenants,
    users,
)
from agent_orchestration.passwords import Passwords
from agent_orchestration.pipeline.accounts import LocalAccounts
from agent_orchestration.pipeline.answers import Answers, ReadyHints
from agent_orchestration.pipeline.as_of import AsOf
from agent_orchestration.pipeline.calls import counted
from agent_orchestration.pipeline.command_bus import CommandBus
from agent_orchestration.pipeline.common_rules import common_rules
from agent_orchestration.pipeline.gateway import CallerGateway
from agent_orchestration.pipeline.loading import graph_seq
from agent_orchestration.pipeline.operating import Operations
from agent_orchestration.pipeline.ownership import Ownership
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.replies import Replies, address_of
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.since import Since
from agent_orchestration.pipeline.spans import tool_call
from agent_orchestration.pipeline.standstill import Standstill
from agent_orchestration.pipeline.topology import EVENTS, topics

ANSWER_SECONDS = 3.0
REGISTRY = Registry(
    [
        agents.MODULE,
        capabilities.MODULE,
        templates.MODULE,
        teams.MODULE,
        tasks.MODULE,
        plans.MODULE,
        artifacts.MODULE,
        conversations.MODULE,
        budgets.MODULE,
        tenants.MODULE,
        users.MODULE,
        insight.MODULE,
    ]
)


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def random_id() -> str:
    """A new UUID."""
    return str(uuid.uuid4())


def process_name() -> str:
    """A name for this process, unlike any other's; it begins with what a person knows it by."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def open_backends(config: Config, clock: Callable[[], int] = wall_clock) -> Backends:
    """The backends that the settings name, not started; `clock`: milliseconds since the epoch, for
    a log without a clock of its own."""
    entities = tuple(REGISTRY.entities.values())
    if config.backend == "embedded":
        return EmbeddedBackends(config, topics(REGISTRY), entities, clock)
    # The drivers take half a second to import, which the embedded backends do without.
    from agent_orchestration.backends.kafka_neo4j import KafkaNeo4jBackends  # noqa: PLC0415

    return KafkaNeo4jBackends(
        config, topics(REGISTRY, config.kafka.num_partitions), entities, RULES
    )


class Platform:
    """The platform in one process: whole, or its share of it. A `core.dispatch.Dispatcher`.

    `clock` gives milliseconds since the epoch, `new_id` the ids of commands. `process` is this
    process's name where others share log and graph; there, one that does not `decides` submits and
    answers only. `secret` seals the passwords of local accounts; without it there are none. Without
    `analytics` it counts by itself. `bus` is for callers that build commands themselves, `accounts`
    for those who log in.
    """

    registry = REGISTRY

    def __init__(
        self,
        backends: Backends,
        clock: Callable[[], int] = wall_clock,
        new_id: Callable[[], str] = random_id,
        process: str | None = None,
        *,
        decides: bool = True,
        secret: str | None = None,
        analytics: Analytics | None = None,
    ) -> None:
        self._backends = backends
        self._passwords = Passwords(secret)
        self._log, self._graph = backends.log, backends.graph
        self.analytics: Analytics = analytics or LogAnalytics(self._log, REGISTRY)
        self._progress = Progress()
        answers, hints = Answers(), ReadyHints()
        self._shared = process is not None
        self._decides = decides
        self._standstill = Standstill(self._log, self._graph)
        self._since = Since(clock)
        self.bus = CommandBus(
            self._log,
            backends.blobs,
            REGISTRY,
            answers,
            hints,
            new_id=new_id,
            reply_to=address_of(self._log, process),
            failed=self._failure,
        )
        self._replies = Replies(
            self._log, process, delivered=self.bus.delivered, hints=hints, progress=self._progress
        )
        services = self._services = Services(
            self._log,
            self._graph,
            REGISTRY,
            self._progress,
            self.bus,
            hints,
            self._replies,
            clock,
            backends.archive,
        )
        self._owned = Ownership(services, shared=self._shared)
        self._operations = Operations(services, backends, self._owned)
        self._cypher = ReadOnlyRunner()
        self._as_of = AsOf(services, backends.other_graphs)
        self.accounts = LocalAccounts(services, self._passwords, self._caught_up)

    async def start(self) -> None:
        """Open the backends and begin work."""
        await self._backends.start()
        self._replies.start()
        if self._decides:
            await self._owned.join()

    async def stop(self) -> None:
        """End work and close everything; may be called whatever `start` did."""
        await self._owned.leave()
        await self._as_of.stop()
        await self._replies.stop()
        await self._backends.stop()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `core.dispatch.Dispatcher`."""
        found = self.registry.tools.get(tool)
        if found is None:
            raise NotFound("unknown_tool", f"there is no tool {tool}", field="tool")
        with counted(tool, arguments), tool_call(tool, caller) as traced:
            authorise(found, arguments, caller)
            return await found.call(self._gateway(traced), arguments)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `core.dispatch.Dispatcher`."""
        return await self._gateway(caller).read_blob(digest)

    async def status(self) -> dict[str, Any]:
        """See `core.dispatch.Dispatcher`. Where others share log and graph, both have to answer
        and somebody has to work; there may be no partition left for this process."""
        checks = {
            f"partition-{number}": {
                "ok": partition.failure is None and partition.working,
                "detail": partition.failure.reason if partition.failure else partition.describe(),
            }
            for number, partition in sorted(self._owned.working.items())
        }
        if self._owned.outdated is not None:
            checks["rules"] = {"ok": False, "detail": self._owned.outdated.reason}
        if self._shared:
            checks["log"], checks["graph"] = await asyncio.gather(
                _answers(self._log.check()), _answers(self._graph.position(0))
            )
        if refusing := self.bus.refusing():
            # Still ready: a replica that is taken out would leave its callers to the others.
            numbers = ", ".join(map(str, refusing))
            detail = f"overloaded: new work is refused (busy) in partitions {numbers}"
            checks["load"] = {"ok": True, "detail": detail}
        ready = bool(checks) and all(check["ok"] for check in checks.values())
        if ready and self._shared:
            stopped = await self._stopped_elsewhere()
            checks |= stopped
            ready = len(stopped) < self._log.topics()[EVENTS].partitions
        role = "owner" if not self._shared else "processor" if self._decides else "server"
        return {"ready": ready, "role": role, "checks": self._since.noted(checks)}

    async def _stopped_elsewhere(self) -> dict[str, dict[str, Any]]:
        """The partitions that nobody works on. The tenants of the others can be worked for, so this
        process is of use as long as there is one."""
        partitions = range(self._log.topics()[EVENTS].partitions)
        answers = await asyncio.gather(*(_answers(self._standstill.check(n)) for n in partitions))
        named = zip(partitions, answers, strict=True)
        return {f"partition-{number}": one for number, one in named if not one["ok"]}

    async def operate(self, operation: Operation) -> AsyncGenerator[dict[str, Any], None]:
        """See `core.dispatch.Dispatcher`."""
        async with contextlib.aclosing(self._operations.run(operation)) as steps:
            async for step in steps:
                yield step

    def _gateway(self, caller: Caller) -> CallerGateway:
        return CallerGateway(
            caller,
            bus=self.bus,
            graph=self._graph,
            passwords=self._passwords,
            registry=REGISTRY,
            progress=self._progress,
            read_cypher=self._read_cypher,
            caught_up=self._caught_up,
            owns=self._owns,
            common_rules=functools.partial(common_rules, self._log),
            analytics=self.analytics,
        )

    async def _read_cypher(
        self, query: str, parameters: Mapping[str, Any], tenant: str, at: int | datetime | None
    ) -> Rows:
        """A caller's own Cypher sees the whole graph, so only the default tenant may."""
        if tenant != DEFAULT_TENANT:
            raise Forbidden("not_your_graph", f"tenant {tenant} may not read the graph with Cypher")
        if at is None:
            return Rows(await self._cypher.run(self._graph, query, parameters, tenant))
        async with self._as_of.graph(tenant, at) as graph:
            rows = Rows(await self._cypher.run(graph, query, parameters, tenant))
            rows.seq = await graph_seq(graph, tenant)
            return rows

    async def _caught_up(self, tenant: str, seconds: float) -> bool:
        """See `CallerGateway`."""
        number = self._partition(tenant)
        if self._shared and number not in self._owned.working:
            return True  # another process folds; what we wait for we are told
        return await self._owned.caught_up(number, seconds)

    def _partition(self, tenant: str) -> int:
        return partition_of(tenant, self._log.topics()[EVENTS].partitions)

    def _owns(self, tenant: str) -> bool:
        """Whether this process itself knows how far the tenant's graph is."""
        return self._partition(tenant) in self._owned.working

    def _failure(self, partition: int) -> PlatformError | None:
        found = self._owned.working.get(partition)
        return found.failure if found else None


async def _answers(question: Awaitable[object]) -> dict[str, Any]:
    """Whether a backend answers, soon: whoever asks for readiness has little patience."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await question
    except PlatformError as error:
        return {"ok": False, "detail": error.reason}
    except TimeoutError:
        return {"ok": False, "detail": f"no answer within {ANSWER_SECONDS:g} s"}
    return {"ok": True, "detail": "answers"}
