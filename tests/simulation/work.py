"""What the clients of a simulated installation do, and what they were told."""

import asyncio
from typing import Any, cast

import msgspec

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.messages import Command, CommandResult
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.worker import Worker
from tests.properties.histories import KINDS
from tests.properties.move import CAPABILITIES, Move
from tests.simulation.oracle import Story
from tests.simulation.process import EPOCH_MS, Process
from tests.simulation.world import Remote, World

#: What operators ask for; what is due is the timer's business.
ASKED = tuple(
    kind for kind in KINDS if kind not in ("due", "expire lease", "expire agent", "release")
)
#: Tries of one request: each under the same key.
TRIES = 3


class Told(msgspec.Struct, frozen=True):
    """A request as its client sent it, and what came back: a result or an error's code."""

    tenant: str
    command: Command
    key: str | None
    result: CommandResult | None
    error: PlatformError | None


class Clients:
    """Operators that ask for anything, and workers that work, for every tenant."""

    def __init__(self, world: World, story: Story) -> None:
        self._world = world
        self._story = story
        self.told: list[Told] = []
        self._requests = 0

    async def operator(self, tenant: str, seconds: float) -> None:
        """Ask for something again and again for so long."""
        draw, loop = self._world.draw, self._world.loop
        ends = loop.now + seconds
        while not self._story.knows_worker(tenant):
            await self._submit(tenant, self._worker_agent(), "worker")
        while loop.now < ends:
            await asyncio.sleep(draw.expovariate(1 / 1.5))
            kind = draw.choice(("create", "create", "plan", *ASKED))
            move = Move(
                kind,
                task=draw.randrange(10),
                agent=draw.choice((0, 0, 1, 1, 2, 3)),
                number=draw.randrange(30),
                seconds=draw.choice((0, 0, 0, 0, 1, 30, 61)),
            )
            command = self._story.command(tenant, move, EPOCH_MS + round(loop.now * 1000))
            self._requests += 1
            key = f"request-{self._requests}" if draw.random() < 0.6 else None
            loop.create_task(self._submit(tenant, command, key), name="request")

    @staticmethod
    def _worker_agent() -> Command:
        skills = tuple(SkillClaim(name, 1000) for name in CAPABILITIES)
        return RegisterAgent(
            agent_id="worker", name="Worker", kind="function", skills=skills, max_concurrency=2
        )

    async def _submit(self, tenant: str, command: Command, key: str | None) -> None:
        caller = Caller(tenant=tenant)
        for _ in range(TRIES if key else 1):
            result: CommandResult | None = None
            failure: PlatformError | None = None
            try:
                result = await self._world.ask(
                    lambda platform: platform.bus.submit(command, caller, key=key)
                )
            except PlatformError as error:
                failure = error
            self.told.append(Told(tenant, command, key, result, failure))
            final = failure is None or not failure.retryable
            if final and self._world.draw.random() < 0.8:
                return  # else the client repeats what it was answered already
            await asyncio.sleep(self._world.draw.uniform(0.1, 5.0))

    async def worker(self, tenant: str) -> None:
        """A process that works for the tenant; a new one when it was killed."""
        world, number = self._world, 0
        while True:
            number += 1
            process = Process(world.loop, f"worker-{tenant}-{number}")
            world.workers.append(process)
            work = process.spawn(self._work(tenant, process.name), process.name)
            while process.alive and not work.done():
                await asyncio.sleep(1.0)
            process.alive = False
            await asyncio.sleep(world.draw.uniform(0.0, 20.0))

    async def _work(self, tenant: str, name: str) -> None:
        worker = Worker(
            cast("Dispatcher", Remote(self._world)),
            "worker",
            self._carry_out,
            concurrency=2,
            caller=Caller(tenant=tenant),
            watch=self._watch,
            session=name,
        )
        try:
            await worker.run()
        except PlatformError as error:
            self._world.say(f"the worker of {tenant} ends: {error}")

    def _watch(self, _task: HeldTask, change: str) -> None:
        if change == "fenced":
            self._world.faults.seen["fenced"] += 1

    async def _carry_out(self, task: HeldTask) -> Any:
        draw = self._world.draw
        for part in range(draw.randrange(3)):
            await asyncio.sleep(draw.expovariate(1 / 2))
            await task.progress({"part": part})
        await asyncio.sleep(draw.expovariate(1 / 3))
        fate = draw.random()
        if fate < 0.1:
            raise TaskError("not this time")
        if fate < 0.13:
            raise ValueError("never")
        return {"attempt": task.attempt}
