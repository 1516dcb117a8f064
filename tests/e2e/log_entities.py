"""What the independent checker knows of records, tasks, agents and teams."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

NEVER_SAID = {"max_attempts": 0}
"""The retry policy of tasks of which nothing is said: no limit."""


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
    team: str | None = None
    only: str | None = None
    plan: str | None = None
    status: str = "ready"
    attempt: int = 0
    max_attempts: int = 0
    given_back: int = 0
    holder: str | None = None
    lease_until: int = 0
    retry_at: int | None = None
    open_tasks: set[str] = field(default_factory=set[str])
    failed: bool = False

    def has_attempts_left(self) -> bool:
        """Whether its retry policy allows another one; those given back do not count."""
        return not self.max_attempts or self.attempt - self.given_back < self.max_attempts


@dataclass
class Agent:
    """What the model knows of an agent."""

    skills: dict[str, int]
    limit: int
    draining: bool = False
    retired: bool = False
    holds: set[str] = field(default_factory=set[str])


def task_of(event: dict[str, Any], team: str | None, plan: str | None = None) -> Task:
    """A task as an event describes it; what a plan leaves out is as usual."""
    return Task(
        depends_on={d["task_id"]: d["on_failure"] for d in event.get("depends_on", ())},
        requires={r["capability"]: r["level"] for r in event.get("requires", ())},
        max_attempts=(event.get("retry") or NEVER_SAID)["max_attempts"],
        team=team,
        only=event.get("agent_id"),
        plan=plan,
    )


def in_a_circle(needs: dict[str, set[str]]) -> set[str]:
    """Those of some ids that wait for each other for ever."""
    waiting = {one: others & needs.keys() for one, others in needs.items()}
    users: dict[str, list[str]] = {one: [] for one in needs}
    for one, others in waiting.items():
        for other in others:
            users[other].append(one)
    free = [one for one, others in waiting.items() if not others]
    while free:
        done = free.pop()
        del waiting[done]
        for user in users[done]:
            waiting[user].discard(done)
            if not waiting[user]:
                free.append(user)
    return set(waiting)


def skills(listed: list[dict[str, Any]]) -> dict[str, int]:
    """Capability -> level in thousandths."""
    return {one["capability"]: one["level"] for one in listed}


def digest(record: Record) -> str:
    """SHA-256 over the chain's facts as a JSON array and the body, 32 hex digits. The first rules
    are no fact: the oldest events say nothing of them."""
    h = record.headers
    rules = int(h.get("ce_rules", 1))
    facts = (
        *(h["ce_prev"], h["ce_tenant"], int(h["ce_seq"]), h["ce_type"], int(h["ce_dataversion"])),
        *(int(h["ce_at"]), h["ce_commandid"], h["ce_actor"], h["ce_receiptkey"], h["ce_bodyhash"]),
        *([rules] if rules > 1 else []),
    )
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode() + record.value).hexdigest()[:32]
