"""Replaying a recorded workflow: agents that wait as long as each program once ran.

The recorded programs are not here. Everything else is real: the tasks, the agents, every claim
and every report go through the platform.
"""

import asyncio
import time
from typing import Any

import msgspec

from agent_orchestration.core.errors import NotFound, PlatformError, Rejected
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.plan import Plan, PlannedAgent
from agent_orchestration.workers.publish import Payload, publish, run_label
from agent_orchestration.workers.worker import Change, Worker

LEASE_SECONDS = 30
POLL_SECONDS = 1.0
RETIRE_SECONDS = 5.0

TERMINAL = ("completed", "failed", "cancelled")

COUNTS = (
    "MATCH (t:Task) WHERE $run IN t.labels"
    " RETURN t.status AS status, count(t) AS tasks, count(t.retry_at) AS retrying"
)


class Progress(msgspec.Struct):
    """What is known while the replay runs; times are `time.monotonic` seconds.

    `counts` holds the run's tasks by status as the platform says, `working` agent id -> task.
    `stopped` counts attempts that the platform took back, `declined` other people's tasks,
    `found` the tasks that an earlier process with the same run id had created.
    """

    started: float = 0.0
    set_up: float | None = None
    ended: float | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    working: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    done_by: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    found: int = 0
    stopped: int = 0
    declined: int = 0
    notes: list[str] = msgspec.field(default_factory=list[str])

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to the last completion once it is known."""
        return (self.ended or time.monotonic()) - self.started


class Replay:
    """One run of a plan. `speed` divides the recorded runtimes."""

    def __init__(
        self, calls: PatientCalls, plan: Plan, speed: float, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._call = calls
        self._plan = plan
        self._speed = speed
        self._lease = lease_seconds
        self._seconds = {plan.ids[t.id]: t.runtime_seconds for t in plan.workflow.tasks}
        self._open = set(self._seconds)
        self._nudge = asyncio.Event()
        self.progress = Progress()

    async def run(self) -> bool:
        """Register, create, work until nothing is left to do; whether every task completed.

        Raises a `PlatformError` that patience did not cure.
        """
        self.progress.started = time.monotonic()
        try:
            await self._settled()
            self.progress.found = sum(self.progress.counts.values())
            await publish(self._call, self._plan)
            self.progress.set_up = time.monotonic()
            await self._work_until_settled()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self.progress.ended = self.progress.ended or time.monotonic()
            await self._retire()
        complete = self.progress.counts.get("completed", 0) == len(self._seconds)
        if complete and self._open and not self.progress.found:
            others = f"{len(self._open)} tasks of this run were done by agents outside of it"
            self.progress.notes.append(others)
        return complete

    async def _work_until_settled(self) -> None:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work(agent)) for agent in self._plan.agents]
            for worker in workers:
                worker.add_done_callback(self._wake)
            while not await self._settled():
                if all(worker.done() for worker in workers):
                    self.progress.notes.append("no agent is left to work")
                    break
                await self._pause(0.05 if not self._open else POLL_SECONDS)
            for worker in workers:
                worker.cancel()

    def _wake(self, _worker: asyncio.Task[None]) -> None:
        self._nudge.set()

    async def _pause(self, seconds: float) -> None:
        """Until something happened here that may be the end, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        except TimeoutError:
            return
        self._nudge.clear()

    async def _settled(self) -> bool:
        """Whether nothing of the run can move any more, by the platform's own account."""
        answer = await self._call("read_cypher", query=COUNTS, params={"run": self._label})
        counts: dict[str, int] = {}
        retrying = 0
        for row in answer["rows"]:
            counts[row["status"]] = row["tasks"]
            retrying += row["retrying"]
        self.progress.counts = counts
        moving = sum(counts.values()) - sum(counts.get(s, 0) for s in (*TERMINAL, "blocked"))
        return sum(counts.values()) == len(self._seconds) and moving + retrying == 0

    @property
    def _label(self) -> str:
        return run_label(self._plan)

    async def _work(self, agent: PlannedAgent) -> None:
        """Claim, wait, report, until cancelled or refused."""
        worker = Worker(
            self._call.dispatcher,
            agent.id,
            self._replayed,
            lease_seconds=self._lease,
            caller=self._call.caller,
            patience=self._call.patience,
            watch=self._changed,
        )
        try:
            await worker.run()
        except (Rejected, NotFound) as error:
            self.progress.notes.append(f"{agent.id} stopped: {error.reason}")
        finally:
            self._call.repeated += worker.calls.repeated

    async def _replayed(self, task: HeldTask) -> dict[str, Any]:
        """The replay itself: a real wait. Work that was not recorded cannot be replayed, and is
        never reported as done."""
        recorded = self._recorded(task)
        if recorded is None:
            self.progress.declined += 1
            raise TaskError(
                "this agent only replays recorded runtimes and cannot do the task",
                error_type="replay_only",
            )
        self.progress.working[task.agent_id] = task.title
        try:
            await asyncio.sleep(recorded / self._speed)
        finally:
            del self.progress.working[task.agent_id]
        return {"replayed": True, "runtime_seconds": recorded}

    def _recorded(self, task: HeldTask) -> float | None:
        """The recorded seconds; of another run's task those it carries; None for real work."""
        if task.id in self._seconds:
            return self._seconds[task.id]
        return _replayed_seconds(task.payload)

    def _changed(self, task: HeldTask, change: Change) -> None:
        if change in {"cancel", "fenced"}:
            self.progress.stopped += 1
        if change != "completed":
            return
        self.progress.done_by[task.agent_id] = self.progress.done_by.get(task.agent_id, 0) + 1
        self._open.discard(task.id)
        if not self._open:
            self.progress.ended = time.monotonic()
            self._nudge.set()

    async def _retire(self) -> None:
        """These agents end with this process; what one still holds goes back to the others."""
        try:
            async with asyncio.timeout(RETIRE_SECONDS):
                for agent in self._plan.agents:
                    await self._retire_one(agent)
        except (PlatformError, TimeoutError) as error:
            self.progress.notes.append(f"the agents of this run were not retired: {error!r}")

    async def _retire_one(self, agent: PlannedAgent) -> None:
        try:
            await self._call("retire_agent", agent_id=agent.id, force=True)
        except NotFound:  # the run ended before this one was registered
            return


def _replayed_seconds(payload: Any) -> float | None:
    """The seconds in a payload that `publish` made; None for any other."""
    try:
        made = msgspec.convert(payload, Payload)
    except msgspec.ValidationError:
        return None
    return made.runtime_seconds if made.replay else None
