"""A small model of what a tenant's events may say, sharing no code with the platform.

`check_log.py` lets it follow a log.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

GENESIS = "0" * 32
KEY_MEMORY_MS = 24 * 60 * 60 * 1000
HELD = ("assigned", "running")
ENDED_BADLY = ("failed", "cancelled")


@dataclass
class Violation:
    """One broken promise, and the event that breaks it."""

    tenant: str
    seq: int
    rule: str
    detail: str


@dataclass
class Record:
    """A record of the log."""

    partition: int
    offset: int
    timestamp: int
    value: bytes
    headers: dict[str, str]


@dataclass
class Task:
    """What the model knows of a task."""

    depends_on: dict[str, str]
    requires: dict[str, int]
    status: str = "ready"
    attempt: int = 0
    holder: str | None = None
    lease_until: int = 0
    retry_at: int | None = None


@dataclass
class Agent:
    """What the model knows of an agent."""

    skills: dict[str, int]
    limit: int
    draining: bool = False
    retired: bool = False
    holds: set[str] = field(default_factory=set[str])


class Tenant:
    """One tenant's history, followed event by event."""

    def __init__(self, name: str, commands: dict[tuple[int, int], Record]) -> None:
        self.name = name
        self.violations: list[Violation] = []
        self.tasks: dict[str, Task] = {}
        self.agents: dict[str, Agent] = {}
        self._dependents: dict[str, list[str]] = {}
        self.claims = 0
        self.most_held = 0
        self.seq = 0
        self.at = 0
        self._digest = GENESIS
        self._partition: int | None = None
        self._command_ids: set[str] = set()
        self._keys: dict[str, int] = {}
        self._commands = commands
        self._steps = {
            "TaskCreated": self._task_created,
            "TaskClaimed": self._task_taken,
            "TaskAssigned": self._task_taken,
            "TaskStarted": self._task_reported,
            "TaskProgressed": self._task_reported,
            "TaskCompleted": self._task_completed,
            "TaskFailed": self._task_failed,
            "TaskLeaseExpired": self._lease_expired,
            "TaskReleased": self._task_released,
            "TaskCancelled": self._task_cancelled,
            "AgentRegistered": self._agent_registered,
            "AgentUpdated": self._agent_updated,
            "AgentDrained": self._agent_drained,
            "AgentResumed": self._agent_drained,
            "AgentRetired": self._agent_retired,
        }

    def follow(self, record: Record) -> None:
        """Check one event and let the model take it in."""
        self._check_chain(record)
        self._check_command(record)
        step = self._steps.get(record.headers["ce_type"])
        if step is not None:
            try:
                step(record.headers["ce_type"], json.loads(record.value))
            except KeyError as missing:
                self.wrong("unknown id or field", f"{record.headers['ce_type']}: {missing}")

    def wrong(self, rule: str, detail: str) -> None:
        """Note a broken promise at the present event."""
        self.violations.append(Violation(self.name, self.seq, rule, detail))

    def _check_chain(self, record: Record) -> None:
        headers = record.headers
        seq, at = int(headers["ce_seq"]), int(headers["ce_at"])
        if seq != self.seq + 1:
            self.wrong("seq without gaps", f"{seq} comes after {self.seq}")
        self.seq = seq
        if headers["ce_prev"] != self._digest:
            self.wrong("prev chain", f"prev {headers['ce_prev']}, predecessor {self._digest}")
        if self._partition not in (None, record.partition):
            self.wrong("one partition", f"{self._partition} before, {record.partition} now")
        if at < self.at:
            self.wrong("time does not go back", f"{at} after {self.at}")
        self._digest, self._partition, self.at = digest(record), record.partition, at

    def _check_command(self, record: Record) -> None:
        headers = record.headers
        command, key = headers["ce_commandid"], headers["ce_receiptkey"]
        if command in self._command_ids:
            self.wrong("one event per command", f"command {command} has another event")
        self._command_ids.add(command)
        if key.startswith("key:") and self.at < self._keys.get(key, -KEY_MEMORY_MS) + KEY_MEMORY_MS:
            self.wrong("one event per idempotency key", key)
        self._keys[key] = self.at
        offset = int(headers["ce_commandposition"].partition(":")[2])
        cause = self._commands.get((record.partition, offset))
        if cause is None:  # commands are kept for a week only
            return
        if cause.headers["ce_id"] != command:
            self.wrong("caused by its command", f"offset {offset} holds {cause.headers['ce_id']}")
        if hashlib.sha256(cause.value).hexdigest()[:32] != headers["ce_bodyhash"]:
            self.wrong("caused by its command", f"the body of {command} has another hash")

    def _task_created(self, _type: str, event: dict[str, Any]) -> None:
        task_id = event["task_id"]
        if task_id in self.tasks:
            self.wrong("ids are unique", f"task {task_id} is created again")
        task = Task(
            depends_on={d["task_id"]: d["on_failure"] for d in event["depends_on"]},
            requires={r["capability"]: r["level"] for r in event["requires"]},
        )
        unmet = self._unmet(task)
        if sorted(unmet) != sorted(event["unmet"]):
            self.wrong("dependency order", f"task {task_id}: unmet {event['unmet']}, not {unmet}")
        task.status = "blocked" if unmet else "ready"
        self.tasks[task_id] = task
        for dependency in task.depends_on:
            self._dependents.setdefault(dependency, []).append(task_id)

    def _unmet(self, task: Task) -> list[str]:
        return [one for one, policy in task.depends_on.items() if not self._is_met(one, policy)]

    def _is_met(self, task_id: str, policy: str) -> bool:
        status = self.tasks[task_id].status
        return status == "completed" or (status in ENDED_BADLY and policy == "continue")

    def _task_taken(self, type_: str, event: dict[str, Any]) -> None:
        task_id, agent_id = event["task_id"], event["agent_id"]
        task, agent = self.tasks[task_id], self.agents[agent_id]
        if unmet := self._unmet(task):
            self.wrong("dependency order", f"task {task_id} is taken before {unmet}")
        if task.holder is not None:
            self.wrong("one live claim", f"task {task_id} is held by {task.holder}")
            self.agents[task.holder].holds.discard(task_id)
        elif task.status != "ready":
            self.wrong("only ready tasks are taken", f"task {task_id} is {task.status}")
        if event["attempt"] != task.attempt + 1:
            detail = f"task {task_id}: {event['attempt']} after {task.attempt}"
            self.wrong("attempts increase by one", detail)
        if agent.retired or agent.draining:
            self.wrong("agents at work take work", f"{agent_id} is draining or retired")
        if lacking := [c for c, n in task.requires.items() if agent.skills.get(c, -1) < n]:
            self.wrong("requirements are met", f"{agent_id} lacks {lacking} for {task_id}")
        agent.holds.add(task_id)
        if len(agent.holds) > agent.limit:
            self.wrong("max_concurrency", f"{agent_id} holds {len(agent.holds)} of {agent.limit}")
        self.claims += 1
        self.most_held = max(self.most_held, sum(len(a.holds) for a in self.agents.values()))
        task.attempt, task.holder = event["attempt"], agent_id
        task.lease_until = event["lease_until"]
        running = type_ == "TaskClaimed" and event["started"]
        task.status = "running" if running else "assigned"

    def _holding(self, type_: str, event: dict[str, Any]) -> Task:
        """The task that the event's agent must hold under the event's attempt."""
        task = self.tasks[event["task_id"]]
        said = (event["agent_id"], event["attempt"])
        if said != (task.holder, task.attempt):
            detail = f"{event['task_id']}: {said} reports, {(task.holder, task.attempt)} holds it"
            self.wrong("fencing", detail)
        if type_ in ("TaskProgressed", "TaskCompleted") and task.status == "assigned":
            self.wrong("work is started first", f"task {event['task_id']} was {task.status}")
        return task

    def _free(self, task_id: str, task: Task, status: str) -> None:
        if task.holder is not None:
            self.agents[task.holder].holds.discard(task_id)
        task.holder, task.status, task.retry_at = None, status, None

    def _task_reported(self, type_: str, event: dict[str, Any]) -> None:
        task = self._holding(type_, event)
        task.status, task.lease_until = "running", event["lease_until"]

    def _task_completed(self, type_: str, event: dict[str, Any]) -> None:
        task = self._holding(type_, event)
        self._end(event["task_id"], task, "completed")

    def _task_failed(self, type_: str, event: dict[str, Any]) -> None:
        task = self._holding(type_, event)
        if event["retry_at"] is None:
            self._end(event["task_id"], task, "failed")
            return
        later = event["retry_at"] > self.at
        self._free(event["task_id"], task, "blocked" if later else "ready")
        task.retry_at = event["retry_at"] if later else None

    def _lease_expired(self, type_: str, event: dict[str, Any]) -> None:
        task = self._holding(type_, event)
        if self.at < task.lease_until:
            detail = f"task {event['task_id']} at {self.at}, lease until {task.lease_until}"
            self.wrong("leases last", detail)
        if event["requeued"]:
            self._free(event["task_id"], task, "ready")
        else:
            self._end(event["task_id"], task, "failed")

    def _task_released(self, _type: str, event: dict[str, Any]) -> None:
        task = self.tasks[event["task_id"]]
        if task.retry_at is None or self.at < task.retry_at:
            self.wrong("retries wait", f"task {event['task_id']}: retry at {task.retry_at}")
        task.status, task.retry_at = "ready", None

    def _task_cancelled(self, _type: str, event: dict[str, Any]) -> None:
        task = self.tasks[event["task_id"]]
        if task.status in ("completed", *ENDED_BADLY):
            self.wrong("finished is final", f"task {event['task_id']} was {task.status}")
        self._end(event["task_id"], task, "cancelled")

    def _end(self, task_id: str, task: Task, status: str) -> None:
        """The task is finished; what waited for it goes on, stays or is cancelled."""
        self._free(task_id, task, status)
        for other_id in self._dependents.get(task_id, ()):
            other = self.tasks[other_id]
            if other.status != "blocked":
                continue
            if status in ENDED_BADLY and other.depends_on[task_id] == "cancel":
                self._end(other_id, other, "cancelled")
            elif other.retry_at is None and not self._unmet(other):
                other.status = "ready"

    def _agent_registered(self, _type: str, event: dict[str, Any]) -> None:
        if event["agent_id"] in self.agents:
            self.wrong("ids are unique", f"agent {event['agent_id']} is registered again")
        self.agents[event["agent_id"]] = Agent(skills(event["skills"]), event["max_concurrency"])

    def _agent_updated(self, _type: str, event: dict[str, Any]) -> None:
        agent = self.agents[event["agent_id"]]
        agent.limit = event.get("max_concurrency") or agent.limit
        if event.get("skills") is not None:
            agent.skills = skills(event["skills"])

    def _agent_drained(self, type_: str, event: dict[str, Any]) -> None:
        self.agents[event["agent_id"]].draining = type_ == "AgentDrained"

    def _agent_retired(self, _type: str, event: dict[str, Any]) -> None:
        agent = self.agents[event["agent_id"]]
        if sorted(agent.holds) != sorted(event["requeued"]):
            detail = f"{event['agent_id']} holds {sorted(agent.holds)}, not {event['requeued']}"
            self.wrong("retiring gives back", detail)
        for task_id in sorted(agent.holds):
            self._free(task_id, self.tasks[task_id], "ready")
        agent.retired = True


def skills(listed: list[dict[str, Any]]) -> dict[str, int]:
    """Capability -> level in thousandths."""
    return {one["capability"]: one["level"] for one in listed}


def digest(record: Record) -> str:
    """SHA-256 over the chain's facts as a JSON array and the body, 32 hex digits."""
    h = record.headers
    facts = (
        *(h["ce_prev"], h["ce_tenant"], int(h["ce_seq"]), h["ce_type"], int(h["ce_dataversion"])),
        *(int(h["ce_at"]), h["ce_commandid"], h["ce_actor"], h["ce_receiptkey"], h["ce_bodyhash"]),
    )
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode() + record.value).hexdigest()[:32]
