"""Carrying out a plan in this process: its agents, its team, and workers until it is over.

The plan is submitted once. Run again with the same id, it goes on: what completed stays, and what
the agents of a killed process still held is given back first.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import NotFound, PlatformError, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.plan_submission import StaffedAgent, find, submit
from agent_orchestration.workers.worker import Change, Handler, Watch, Worker

LEASE_SECONDS = 15
HEARTBEAT_SECONDS = 60
POLL_SECONDS = 0.5
STOP_SECONDS = 10.0
SHOWN_FAILURES = 5
TERMINAL = ("completed", "failed", "cancelled")

COUNTS = (
    "MATCH (t:Task)-[:SUBTASK_OF]->(p:Task {id: $plan})"
    " RETURN t.status AS status, count(t) AS tasks, count(t.retry_at) AS retrying"
)


class PlanProgress(msgspec.Struct):
    """What is known while a plan runs; times are `time.monotonic` seconds.

    `counts` holds its tasks by status as the platform says; `working` (agent id, task id) -> the
    task's title, attempt and start; `found` how many tasks had completed before this run.
    """

    plan_id: str
    total: int
    started: float = msgspec.field(default_factory=time.monotonic)
    ended: float | None = None
    found: int = 0
    resumed: bool = False
    counts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    working: dict[tuple[str, str], tuple[str, int, float]] = msgspec.field(
        default_factory=dict[tuple[str, str], tuple[str, int, float]]
    )
    changes: Counter[Change] = msgspec.field(default_factory=Counter[Change])
    notes: list[str] = msgspec.field(default_factory=list[str])

    @property
    def seconds(self) -> float:
        """Since the start, or how long it took."""
        return (self.ended or time.monotonic()) - self.started


def _unwatched(_task: HeldTask, _change: Change) -> None:
    pass


class PlanRun:
    """One run of a submitted or new plan.

    `arguments` are those of `submission`, `agents` who works, `handler` carries out the tasks,
    `watch` is told of every change of a task in an agent's hands.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        arguments: dict[str, Any],
        agents: Sequence[StaffedAgent],
        handler: Handler,
        *,
        lease_seconds: int = LEASE_SECONDS,
        watch: Watch = _unwatched,
    ) -> None:
        self.plan_id: str = arguments["id"]
        self.progress = PlanProgress(self.plan_id, len(arguments["tasks"]))
        self._dispatcher = dispatcher
        self._call = PatientCalls(dispatcher, Caller(correlation=self.plan_id))
        self._arguments = arguments
        self._agents = agents
        self._handler = handler
        self._lease = lease_seconds
        self._watch = watch
        self._session = secrets.token_hex(4)

    async def run(self) -> str:
        """Work until nothing of the plan can move any more; answers the plan's status.

        "running" means that it is stuck: tasks wait for failed ones, or no agent is left. Raises
        `Conflict` where the id is another plan's. Cancelled, it gives back what the agents hold.
        """
        try:
            plan = await find(self._call, self._arguments)
            if plan is not None:
                self.progress.resumed = True
                self.progress.found = plan["completed_children"]
            if plan is None or plan["status"] not in TERMINAL:
                await self._enlist()
                if plan is None:
                    await submit(self._call, self._arguments, team_id=self.plan_id)
                await self._work()
            await self._count()
        finally:
            self.progress.ended = time.monotonic()
        answer = await self._call("get_task", task_id=self.plan_id)
        status: str = answer["task"]["status"]
        if status in TERMINAL:
            await self._dismiss()
        return status

    async def failures(self) -> list[dict[str, Any]]:
        """The explanations of what failed, or else of what is blocked; the first few."""
        for status in ("failed", "blocked"):
            answer = await self._call(
                "list_tasks", parent_id=self.plan_id, status=status, limit=SHOWN_FAILURES
            )
            if answer["tasks"]:
                ids = [task["id"] for task in answer["tasks"]]
                return [await self._call("explain_task", task_id=one) for one in ids]
        return []

    async def _enlist(self) -> None:
        """Register the agents, or take the place of those of an earlier run, and form the team."""
        for agent in self._agents:
            await self._register(agent)
        members = [{"agent_id": agent.id} for agent in self._agents]
        try:
            await self._call(
                "form_team",
                id=self.plan_id,
                goal=self._arguments["title"],
                members=members,
                max_size=1000,
                idempotency_key=f"{self.plan_id}:{self._session}:team",
            )
        except Rejected as error:
            if error.code != "already_exists":
                raise
            await self._call("update_team", team_id=self.plan_id, add=members)

    async def _register(self, agent: StaffedAgent) -> None:
        told: dict[str, Any] = {
            "name": agent.name,
            "capabilities": [
                {"name": name, "level": level} for name, level in agent.capabilities.items()
            ],
            "max_concurrency": agent.concurrency,
            "heartbeat_seconds": HEARTBEAT_SECONDS,
            "dedicated": True,
        }
        try:
            await self._call(
                "register_agent",
                id=agent.id,
                kind="command",
                labels={"plan": self.plan_id},
                idempotency_key=f"{agent.id}:{self._session}:register",
                **told,
            )
        except Rejected as error:
            if error.code != "already_exists":
                raise
            await self._call("update_agent", agent_id=agent.id, **told)
            await self._relieve(agent.id)

    async def _relieve(self, agent_id: str) -> None:
        """Give back what the agent held when an earlier process ended: waiting for the lease to
        run out would change nothing, as nobody works on it."""
        answer = await self._call("get_agent", agent_id=agent_id)
        for task_id in answer["agent"]["task_ids"]:
            held = await self._call("get_task", task_id=task_id)
            try:
                await self._call(
                    "fail_task",
                    task_id=task_id,
                    agent_id=agent_id,
                    attempt=held["task"]["attempt"],
                    error="the process that carried it out ended before it was done",
                    error_type="worker_ended",
                    retry_after_seconds=0,
                    idempotency_key=f"{task_id}:{held['task']['attempt']}:relieve",
                )
            except Rejected as error:  # its lease ran out at this moment
                self.progress.notes.append(error.reason)

    async def _work(self) -> None:
        workers = [self._worker(agent) for agent in self._agents]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            while not await self._settled():
                if all(one.done() for one in running):
                    self.progress.notes.append("no agent is left to work")
                    break
        finally:
            await self._stop(workers, running)

    def _worker(self, agent: StaffedAgent) -> Worker:
        def watch(task: HeldTask, change: Change) -> None:
            self.progress.changes[change] += 1
            if change == "claimed":
                told = (task.title, task.attempt, time.monotonic())
                self.progress.working[agent.id, task.id] = told
            else:
                self.progress.working.pop((agent.id, task.id), None)
            self._watch(task, change)

        own = Principal(agent.id, Role.AGENT.value, agent.id)
        return Worker(
            self._dispatcher,
            agent.id,
            self._handler,
            concurrency=agent.concurrency,
            lease_seconds=self._lease,
            caller=Caller(principal=own, correlation=self.plan_id),
            heartbeat_seconds=HEARTBEAT_SECONDS / 3,
            watch=watch,
        )

    async def _stop(self, workers: Sequence[Worker], running: list[asyncio.Task[None]]) -> None:
        """What is held goes back, and the commands end; also when this is cancelled again."""
        for worker in workers:
            worker.stop()
        await asyncio.wait(running, timeout=STOP_SECONDS)
        for one in running:
            one.cancel()
        for worker, ended in zip(
            workers, await asyncio.gather(*running, return_exceptions=True), strict=True
        ):
            if isinstance(ended, PlatformError):
                self.progress.notes.append(f"{worker.agent_id} stopped: {ended.reason}")
            elif isinstance(ended, Exception):
                raise ended

    async def _settled(self) -> bool:
        """Whether nothing of the plan can move any more; waits a moment before it says no."""
        counts, retrying = await self._count()
        moving = sum(counts.get(status, 0) for status in ("ready", "assigned", "running"))
        if moving + retrying == 0:
            return True
        pause = max(POLL_SECONDS, self.progress.total / 20_000)
        answer = await self._call("wait_for_tasks", ids=[self.plan_id], seconds=pause)
        return answer["finished"]

    async def _count(self) -> tuple[dict[str, int], int]:
        answer = await self._call("read_cypher", query=COUNTS, params={"plan": self.plan_id})
        counts = {row["status"]: row["tasks"] for row in answer["rows"]}
        self.progress.counts = counts
        return counts, sum(row["retrying"] for row in answer["rows"])

    async def _dismiss(self) -> None:
        """The plan is over: its agents, which are this process, go with it."""
        with contextlib.suppress(NotFound):  # where others did all the work, there is none
            await self._call("disband_team", team_id=self.plan_id, reason="the plan is over")
        for agent in self._agents:
            with contextlib.suppress(NotFound):
                await self._call("retire_agent", agent_id=agent.id, force=True)
