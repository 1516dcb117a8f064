"""Tenants at work through two servers, each with agents of its own; whatever they are told is
written down."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from agent_orchestration.repeating import RepeatingDispatcher
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.worker import Change, Worker
from tests.chaos.workflow import PROGRAMS, Step

AGENTS = 4
#: Tasks that are created at a time, by all tenants together; and that many once in a while, so that
#: no processor is idle.
AT_ONCE = 32
BURST = 160
#: How long one call is repeated, and how long nothing may move, in seconds.
PATIENCE = 240.0
SAID = {"create_task": "TaskCreated", "claim_task": "TaskClaimed", "complete_task": "TaskCompleted"}


class Servers(RepeatingDispatcher):
    """Asks the servers in turn; a call whose server ends is repeated at the next one."""

    def __init__(self, urls: Sequence[str], token: str, notes: TextIO) -> None:
        self._remotes = [RemoteDispatcher(url, token, REGISTRY, 60) for url in urls]
        self._notes = notes
        self.calls = 0
        self.gone = 0
        self.stale = 0

    async def start(self) -> None:
        """There is nothing to begin."""

    async def stop(self) -> None:
        """Close the connections."""
        for remote in self._remotes:
            await remote.close()

    async def closed(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`; what the answer says of a task is noted."""
        answer = await super().call(tool, arguments, caller)
        self.calls += 1
        self.stale += bool(answer.get("stale"))
        if tool in SAID and answer.get("task"):
            note = {
                "tenant": caller.tenant,
                "event": SAID[tool],
                "task": answer["task"]["id"],
                "attempt": answer.get("attempt") or arguments.get("attempt") or 0,
                "seq": answer["seq"],
            }
            self._notes.write(json.dumps(note) + "\n")
        return answer

    async def _resolve(self, _by: float) -> Dispatcher:
        self._remotes.append(self._remotes.pop(0))
        return self._remotes[-1]

    def _is_gone(self, _target: Dispatcher, gone: OwnerGone) -> None:
        self.gone += 1


class Load:
    """The work of all tenants. Each runs the workflow once, and again until it is `enough`."""

    def __init__(self, servers: Servers, tenants: Sequence[str], steps: Sequence[Step]) -> None:
        self.runs = dict.fromkeys(tenants, 0)
        self.steps = steps
        self.created = 0
        self.completed = 0
        self.enough = asyncio.Event()
        self.slots = asyncio.Semaphore(AT_ONCE)
        self._moved = asyncio.Condition()
        self._bursts = 0
        self._tenants = [_Tenant(tenant, servers, self) for tenant in tenants]

    @property
    def every_run_completed(self) -> bool:
        """Whether each tenant's first run is over."""
        return all(self.runs.values())

    async def run(self) -> None:
        """Work. Raises what a call raised that patience did not cure."""
        async with asyncio.TaskGroup() as group:
            for tenant in self._tenants:
                group.create_task(tenant.run())

    async def burst(self) -> None:
        """Create many tasks at once, one of which has been answered when this returns."""
        self._bursts += 1
        for tenant in self._tenants:
            tenant.burst(self._bursts)
        before = self.created
        async with self._moved:
            while self.created == before:
                async with asyncio.timeout(PATIENCE):
                    await self._moved.wait()

    async def progress(self, tasks: int) -> None:
        """Wait until so many more tasks are completed. Raises `TimeoutError` where nothing is."""
        wanted = self.completed + tasks
        async with self._moved:
            while self.completed < wanted:
                async with asyncio.timeout(PATIENCE):
                    await self._moved.wait()

    async def tell(self, *, created: int = 0, completed: int = 0) -> None:
        """So many more are."""
        async with self._moved:
            self.created += created
            self.completed += completed
            self._moved.notify_all()


class _Tenant:
    def __init__(self, name: str, servers: Servers, load: Load) -> None:
        self._name = name
        self._servers = servers
        self._load = load
        self._caller = Caller(tenant=name)
        self._call = PatientCalls(servers, self._caller, PATIENCE)
        self._group = asyncio.TaskGroup()
        self._open: set[str] = set()
        self._done = asyncio.Event()

    async def run(self) -> None:
        runs, enough = self._load.runs, self._load.enough
        workers = [await self._hired(number) for number in range(AGENTS)]
        async with self._group:
            for worker in workers:
                self._group.create_task(worker.run())
            while not runs[self._name] or not enough.is_set():
                await self._run_once(f"run-{runs[self._name] + 1}")
                runs[self._name] += 1
            await self._done.wait()
            for worker in workers:
                worker.drain()

    async def _hired(self, number: int) -> Worker:
        agent = f"agent-{number}"
        await self._call(
            "register_agent",
            id=agent,
            name=agent,
            kind="function",
            capabilities=[{"name": program} for program in PROGRAMS],
            idempotency_key=f"hire-{agent}",
        )
        return Worker(
            self._servers,
            agent,
            self._carried_out,
            caller=self._caller,
            patience=PATIENCE,
            watch=self._changed,
        )

    def burst(self, number: int) -> None:
        """Begin to create tasks that wait for nothing."""
        steps = [Step(f"{n}", PROGRAMS[0]) for n in range(-(-BURST // len(self._load.runs)))]
        self._opened(f"burst-{number}", steps)
        for step in steps:
            self._group.create_task(self._create(f"burst-{number}", step))

    async def _run_once(self, name: str) -> None:
        steps = self._load.steps
        self._opened(name, steps)
        created = {step.name: asyncio.Event() for step in steps}

        async def create(step: Step) -> None:
            for other in step.after:
                await created[other].wait()
            async with self._load.slots:
                await self._create(name, step)
            created[step.name].set()

        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(create(step))
        await self._done.wait()

    def _opened(self, name: str, steps: Sequence[Step]) -> None:
        self._open |= {f"{name}.{step.name}" for step in steps}
        self._done.clear()

    async def _create(self, name: str, step: Step) -> None:
        task_id = f"{name}.{step.name}"
        await self._call(
            "create_task",
            id=task_id,
            title=step.name,
            requires=[{"capability": step.program}],
            depends_on=[f"{name}.{other}" for other in step.after],
            idempotency_key=f"create-{task_id}",
        )
        await self._load.tell(created=1)

    async def _carried_out(self, task: HeldTask) -> dict[str, Any]:
        """The recorded programs are not here: what counts is in which order, and how often."""
        await self._load.tell(completed=1)
        return {"by": task.agent_id, "attempt": task.attempt}

    def _changed(self, task: HeldTask, change: Change) -> None:
        if change == "completed":
            self._open.discard(task.id)
            if not self._open:
                self._done.set()
