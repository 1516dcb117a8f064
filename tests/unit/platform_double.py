"""A tiny platform in memory, behind the `Dispatcher` protocol: what workers need, and faults.

Keeps every promise a worker relies on: idempotency keys, attempts, dependencies, one holder.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, NotFound, PlatformError, Rejected
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.workers.outcome import QUESTIONS
from agent_orchestration.workers.publish import KNOWN
from agent_orchestration.workers.replay import COUNTS

Answer = dict[str, Any]
Fault = Callable[[str, int], PlatformError | None]


class DoubleTask(msgspec.Struct, kw_only=True):
    """A task of the double."""

    id: str
    title: str
    requires: set[str]
    depends_on: list[str]
    labels: list[str]
    payload: Any
    status: str = "ready"
    attempt: int = 0
    holder: str | None = None
    retry_at: int | None = None
    lease_seconds: float = 60.0
    progress: Any = None
    result: Any = None
    error: Answer | None = None


class PlatformDouble:
    """`before` and `after` may raise an error before or after the n-th call of a tool."""

    def __init__(self) -> None:
        self.registry = Registry([])
        self.tasks: dict[str, DoubleTask] = {}
        self.agents: dict[str, set[str]] = {}
        self.retired: set[str] = set()
        self.capabilities: dict[str, str] = {}
        self.completed: list[str] = []
        #: Status and micros.
        self.spends: dict[str, tuple[str, int]] = {}
        #: Agent, service and state.
        self.breakers: list[tuple[str, str, str]] = []
        self.conversations: dict[str, Answer] = {}
        self.blobs: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        self.before: Fault = lambda _tool, _number: None
        self.after: Fault = lambda _tool, _number: None
        self.on_heartbeat: Callable[[DoubleTask], None] = lambda _task: None
        self._answered: dict[tuple[str, str], tuple[str, Answer]] = {}
        self._changed = asyncio.Condition()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> Answer:
        self.calls[tool] += 1
        number = self.calls[tool]
        if (error := self.before(tool, number)) is not None:
            raise error
        answer = await self._once(tool, dict(arguments))
        if (error := self.after(tool, number)) is not None:
            raise error
        return answer

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        return self.blobs[digest]

    async def status(self) -> Answer:
        return {"ready": True, "role": "owner", "checks": {}}

    async def operate(self, operation: Operation) -> AsyncIterator[Answer]:
        yield {"done": 0, "total": 0}

    async def nudge(self) -> None:
        """Tell waiting claims that a test has changed something."""
        async with self._changed:
            self._changed.notify_all()

    async def _once(self, tool: str, arguments: Answer) -> Answer:
        key = arguments.pop("idempotency_key", None)
        # How long one waits is no part of a command.
        body = json.dumps({**arguments, "wait_seconds": None}, sort_keys=True)
        if key is not None and (tool, key) in self._answered:
            earlier, answer = self._answered[tool, key]
            if earlier != body:
                raise Conflict("key_reused", f"{key} was used with another body")
            return answer
        answer: Answer = await getattr(self, f"_{tool}")(**arguments)
        if key is not None and answer.get("task", True):
            self._answered[tool, key] = (body, answer)
        await self.nudge()
        return answer

    async def _define_capability(self, name: str, category: str, description: str) -> Answer:
        self.capabilities[name] = description
        return {"name": name}

    async def _register_agent(self, **agent: Any) -> Answer:
        if agent["id"] in self.agents:
            raise Rejected("already_exists", agent["id"])
        self.agents[agent["id"]] = {one["name"] for one in agent["capabilities"]}
        return {"agent": {"id": agent["id"]}}

    async def _update_agent(self, agent_id: str, **agent: Any) -> Answer:
        self.agents[agent_id] = {one["name"] for one in agent["capabilities"]}
        return {"agent": {"id": agent_id}}

    async def _retire_agent(self, agent_id: str, force: bool) -> Answer:
        assert force
        if agent_id not in self.agents:
            raise NotFound("unknown_agent", agent_id)
        self.retired.add(agent_id)
        return {"agent": {"id": agent_id}}

    async def _create_task(self, **task: Any) -> Answer:
        if task["id"] in self.tasks:
            raise Rejected("already_exists", task["id"])
        assert all(one in self.tasks for one in task["depends_on"])
        created = DoubleTask(
            id=task["id"],
            title=task["title"],
            requires={one["capability"] for one in task["requires"]},
            depends_on=task["depends_on"],
            labels=[f"{name}={value}" for name, value in task["labels"].items()],
            payload=task["payload"],
        )
        self.tasks[created.id] = created
        self._settle()
        return self._shown(created)

    def _settle(self) -> None:
        for task in self.tasks.values():
            if task.status in ("ready", "blocked"):
                met = all(self.tasks[one].status == "completed" for one in task.depends_on)
                task.status = "ready" if met and task.retry_at is None else "blocked"

    def _shown(self, task: DoubleTask) -> Answer:
        names = ("id", "title", "status", "payload", "progress", "result", "lease_seconds")
        shown = {name: getattr(task, name) for name in names}
        waited = [{"task_id": one, "status": self.tasks[one].status} for one in task.depends_on]
        return {"task": {**shown, "depends_on": waited}, "attempt": task.attempt}

    async def _get_task(self, task_id: str) -> Answer:
        return self._shown(self.tasks[task_id])

    async def _claim_task(
        self, agent_id: str, wait_seconds: float, brief: bool, lease_seconds: float = 60.0
    ) -> Answer:
        assert brief
        if agent_id in self.retired:
            raise Rejected("agent_retired", f"{agent_id} is retired")
        try:
            async with asyncio.timeout(wait_seconds), self._changed:
                while (task := self._best(agent_id)) is None:
                    await self._changed.wait()
        except TimeoutError:
            return {"task": None}
        task.status, task.holder, task.attempt = "running", agent_id, task.attempt + 1
        return self._shown(task)

    def _best(self, agent_id: str) -> DoubleTask | None:
        able = (t for t in self.tasks.values() if t.requires <= self.agents[agent_id])
        return next((task for task in able if task.status == "ready"), None)

    def _held(self, task_id: str, agent_id: str, attempt: int) -> DoubleTask:
        task = self.tasks[task_id]
        if (task.status, task.holder, task.attempt) != ("running", agent_id, attempt):
            code = "wrong_status" if task.status == "cancelled" else "fenced"
            raise Rejected(code, f"attempt {attempt} of {task_id} is over", status=task.status)
        return task

    async def _complete_task(
        self, task_id: str, agent_id: str, attempt: int, result: Any, brief: bool
    ) -> Answer:
        task = self._held(task_id, agent_id, attempt)
        task.status, task.result = "completed", result
        self.completed.append(task_id)
        self._settle()
        return self._reported(task, brief)

    def _reported(self, task: DoubleTask, brief: bool) -> Answer:
        return {} if brief else self._shown(task)

    async def _report_circuit_breaker(self, agent_id: str, service: str, state: str) -> Answer:
        self.breakers.append((agent_id, service, state))
        return {"agent_id": agent_id}

    async def _open_conversation(self, **conversation: Any) -> Answer:
        if conversation["id"] in self.conversations:
            raise Rejected("already_exists", conversation["id"])
        self.conversations[conversation["id"]] = conversation
        return {"conversation": {"id": conversation["id"]}}

    async def _reserve_spend(self, **spend: Any) -> Answer:
        self._held(spend["task_id"], spend["agent_id"], spend["attempt"])
        self.spends[spend["id"]] = ("reserved", spend["amount_micros"])
        return {"spend_id": spend["id"]}

    async def _settle_spend(self, spend_id: str, cost_micros: int, **_used: Any) -> Answer:
        self.spends[spend_id] = ("settled", cost_micros)
        return {"spend_id": spend_id}

    async def _release_spend(self, spend_id: str, agent_id: str) -> Answer:
        self.spends[spend_id] = ("released", 0)
        return {"spend_id": spend_id}

    async def _report_progress(
        self, task_id: str, agent_id: str, attempt: int, progress: Any, brief: bool
    ) -> Answer:
        task = self._held(task_id, agent_id, attempt)
        task.progress = progress
        return self._reported(task, brief)

    async def _fail_task(
        self, task_id: str, agent_id: str, attempt: int, brief: bool, **error: Any
    ) -> Answer:
        task = self._held(task_id, agent_id, attempt)
        task.error = error
        task.status = "blocked" if error["retryable"] else "failed"
        task.retry_at = 1 if error["retry_after_seconds"] is None else None
        self._settle()
        return self._reported(task, brief)

    async def _heartbeat(self, agent_id: str, leases: list[Answer]) -> Answer:
        if agent_id in self.retired:
            raise Rejected("agent_retired", f"{agent_id} is retired")
        answers: list[Answer] = []
        for lease in leases:
            task = self.tasks[lease["task_id"]]
            self.on_heartbeat(task)
            mine = task.holder == agent_id and task.attempt == lease["attempt"]
            known = {"running": "continue", "cancelled": "cancel"} if mine else {}
            answers.append({**lease, "verdict": known.get(task.status, "fenced")})
        return {"leases": answers}

    async def _read_cypher(self, query: str, params: Answer) -> Answer:
        if query == KNOWN:
            return {"rows": [{"name": n} for n in params["names"] if n in self.capabilities]}
        if query in QUESTIONS.values():
            return {"rows": [{"agent": "somebody", "tasks": 1, "seconds": 0.5}]}
        assert query == COUNTS
        own = [task for task in self.tasks.values() if params["run"] in task.labels]
        counts = Counter(task.status for task in own)
        rows = [
            {"status": s, "tasks": n, "retrying": sum(t.retry_at is not None for t in own)}
            for s, n in counts.items()
        ]
        return {"rows": rows}
