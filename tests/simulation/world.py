"""A whole simulated installation: processes that come and go, clients, workers, and the weather."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import NotFound, PlatformError, Unavailable
from tests.simulation.faults import EVENTS, Faults
from tests.simulation.graph import SimulatedGraph, Store
from tests.simulation.log import Broker, Members, SimulatedLog
from tests.simulation.loop import Loop
from tests.simulation.process import Process

T = TypeVar("T")
NODES = 2
TENANTS = ("acme", "beta", "gamma")
CALL_SECONDS = 45.0


class MemoryBlobs:
    """A `BlobStore` that never fails: blobs are the subject of other tests."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        digest = uuid.uuid5(uuid.NAMESPACE_OID, data.hex()).hex
        self._blobs[digest] = data
        return digest

    def of(self, tenant: str) -> Self:
        return self

    async def get(self, digest: str) -> bytes:
        if digest not in self._blobs:
            raise NotFound("unknown_blob", digest)
        return self._blobs[digest]


class NodeBackends:
    """`Backends` of one process."""

    def __init__(self, world: "World", process: Process) -> None:
        self.log = SimulatedLog(world.broker, process, world.faults, world.members)
        self.graph = SimulatedGraph(world.store, process, world.faults)
        self.blobs = world.blobs
        self.other_graphs = OtherGraphs(Config(), ())
        self.archive = None
        self.backups = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Node:
    """A process with a platform in it."""

    def __init__(self, world: "World", name: str) -> None:
        self.process = Process(world.loop, name)
        draw = world.draw
        self.platform: Platform = self.process.run(
            Platform,
            NodeBackends(world, self.process),
            self.process.clock,
            lambda: str(uuid.UUID(int=draw.getrandbits(128))),
            name,
        )
        self.process.spawn(self.platform.start(), f"{name} starts")


class World:
    """Everything that one seed determines, with `more` of some faults. `say` tells what happened,
    for people."""

    def __init__(self, seed: int, folder: Path, more: Mapping[str, float]) -> None:
        self.seed = seed
        self.loop = Loop()
        self.draw = random.Random(seed)
        self.faults = Faults(random.Random(seed + 1_000_000_007), more)
        self.broker = Broker(self.loop)
        graph = KgliteGraph(folder / f"{seed}.kgl", REGISTRY.entities.values())
        self.store = Store(graph)
        self.blobs = MemoryBlobs()
        self.members = Members(self.broker, self.faults)
        self.nodes: list[Node] = []
        self.workers: list[Process] = []
        self.say = self.broker.say
        self._named = 0

    def add_node(self) -> Node:
        """A new process."""
        self._named += 1
        node = Node(self, f"node-{self._named}")
        if self.faults.on and self.draw.random() < 0.5:
            node.process.skew = self.draw.randint(-300_000, 300_000)
            self.faults.seen["clock_skew"] += 1
        self.nodes.append(node)
        self.say(f"{node.process.name} starts, clock {node.process.skew:+} ms")
        return node

    def some_node(self) -> Node:
        """Any node: who has the tenant's partition is none of a client's business."""
        found = [node for node in self.nodes if node.process.alive]
        if not found:
            raise Unavailable("connection_refused", "no node is up")
        return self.draw.choice(found)

    async def ask(self, call: Callable[[Platform], Coroutine[Any, Any, T]]) -> T:
        """A call over the network, as an HTTP client makes it: it may wait in vain."""
        await asyncio.sleep(self.draw.uniform(0.0005, 0.005))
        node = self.some_node()
        answer: asyncio.Future[T] = self.loop.create_future()

        async def serve() -> None:
            try:
                result = await call(node.platform)
            except PlatformError as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        node.process.spawn(serve(), "call")
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await answer
        except TimeoutError:
            raise Unavailable("timeout", "no answer") from None

    async def weather(self) -> None:
        """All that goes wrong from outside, for ever."""
        async with asyncio.TaskGroup() as group:
            for kind in EVENTS:
                group.create_task(self._again_and_again(kind))

    async def _again_and_again(self, kind: str) -> None:
        happen: Callable[[], Awaitable[bool]] = getattr(self, f"_{kind}")
        while (seconds := self.faults.next_in(kind)) is not None:
            await asyncio.sleep(seconds)
            if self.faults.on and await happen():
                self.faults.seen[kind] += 1

    def _some(self, processes: list[Process]) -> Process | None:
        there = [one for one in processes if one.alive and not one.paused]
        return self.draw.choice(there) if there else None

    def _node_processes(self) -> list[Process]:
        return [node.process for node in self.nodes]

    async def _kill(self) -> bool:
        process = self._some(self._node_processes())
        if process is not None:
            self.say(f"{process.name} is killed")
            process.alive = False
        return process is not None

    async def _restart(self) -> bool:
        process = self._some(self._node_processes())
        node = next((one for one in self.nodes if one.process is process), None)
        if node is not None:
            self.say(f"{node.process.name} is asked to end")
            node.process.spawn(self._end(node), "end")
        return node is not None

    async def _end(self, node: Node) -> None:
        await node.platform.stop()
        node.process.alive = False

    async def _pause(self) -> bool:
        return await self._hold(self._some(self._node_processes()))

    async def _worker_pause(self) -> bool:
        return await self._hold(self._some(self.workers))

    async def _hold(self, process: Process | None) -> bool:
        if process is None:
            return False
        seconds = self.draw.choice((0.5, 3.0, 10.0, 30.0)) * self.draw.uniform(0.5, 1.5)
        self.say(f"{process.name} stands still for {seconds:.1f} s")
        process.pause()
        await asyncio.sleep(seconds)
        self.say(f"{process.name} goes on")
        process.resume()
        return True

    async def _worker_kill(self) -> bool:
        process = self._some(self.workers)
        if process is not None:
            self.say(f"{process.name} is killed")
            process.alive = False
        return process is not None

    async def _slow(self) -> bool:
        process = self._some(self._node_processes())
        if process is None:
            return False
        process.slowness = self.draw.choice((10.0, 100.0, 500.0))
        self.say(f"{process.name} is {process.slowness:.0f} times slower")
        await asyncio.sleep(self.draw.uniform(1.0, 15.0))
        process.slowness = 1.0
        return True

    async def _clock_skew(self) -> bool:
        process = self._some(self._node_processes())
        if process is not None:
            process.skew = self.draw.randint(-300_000, 300_000)
            self.say(f"the clock of {process.name} is wrong by {process.skew:+} ms")
        return process is not None

    async def _log_clock_jump(self) -> bool:
        self.broker.skew = self.draw.randint(-300_000, 300_000)
        self.say(f"the log's clock is wrong by {self.broker.skew:+} ms")
        return True

    async def _log_outage(self) -> bool:
        self.broker.outage = True
        self.say("the log is away")
        await asyncio.sleep(self.draw.uniform(0.5, 20.0))
        self.broker.outage = False
        self.say("the log is back")
        return True

    async def _graph_outage(self) -> bool:
        self.store.outage = True
        self.say("the graph is away")
        await asyncio.sleep(self.draw.uniform(0.5, 20.0))
        self.store.outage = False
        self.say("the graph is back")
        return True

    async def staff(self) -> None:
        """Keep as many nodes as there should be."""
        while True:
            here = [node for node in self.nodes if node.process.alive]
            for _ in range(NODES - len(here)):
                self.add_node()
            await asyncio.sleep(self.draw.uniform(0.5, 4.0))

    def clear_up(self) -> None:
        """Nothing goes wrong any more."""
        self.faults.on = False
        self.broker.outage = self.store.outage = False
        for process in (*self._node_processes(), *self.workers):
            process.slowness = 1.0
            if process.paused:
                process.resume()


class Remote:
    """The calls of a `Dispatcher`: the installation as a worker elsewhere reaches it."""

    registry = REGISTRY

    def __init__(self, world: World) -> None:
        self._world = world

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        sent = dict(arguments)
        return await self._world.ask(lambda p: p.call(tool, sent, caller))

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        return await self._world.ask(lambda p: p.read_blob(digest, caller))
