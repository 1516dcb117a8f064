"""A move of a random history: numbers whose meaning depends on its kind."""

from collections.abc import Callable
from typing import Any

import msgspec

from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tasks.model import HELD, EdgePolicy, RetryPolicy, Task
from agent_orchestration.domain.teams.model import Team


class Move(msgspec.Struct, frozen=True):
    """What might be asked next; what its numbers mean depends on the kind."""

    kind: str
    task: int = 0
    agent: int = 0
    number: int = 0
    seconds: int = 0
    text: str = "plain"

    @property
    def task_id(self) -> str:
        return f"t{self.task}"

    @property
    def agent_id(self) -> str:
        return f"a{self.agent}"

    @property
    def team_id(self) -> str:
        return f"m{self.task % 3}"

    @property
    def lasting(self) -> int:
        """Its seconds as a length of time: those of the log may also run back."""
        return max(self.seconds, 0)

    @property
    def keyed(self) -> bool:
        """Whether the caller gives an idempotency key."""
        return self.number % 4 == 3

    def line(self, length: int = 256) -> str:
        """The text without control characters."""
        return "".join(c for c in self.text if c >= " ")[:length]

    def json(self) -> str:
        """The text as JSON, with what else JSON can hold."""
        deep: Any = self.text[:9]
        for _ in range(self.number):
            deep = [deep]
        value = {"text": f"\x00{self.text}", "n": 2**63 - 1, "f": 0.1, "deep": deep}
        return canonical(value).decode()


POLICIES: tuple[EdgePolicy, ...] = ("block", "cancel", "continue")
RETRIES = (
    RetryPolicy(),
    RetryPolicy(initial_ms=0),
    RetryPolicy(max_attempts=1),
    RetryPolicy(initial_ms=30_000, max_attempts=2, non_retryable=("fatal",)),
)
CAPABILITIES = ("c0", "c1", "c2")
Make = Callable[[TenantState, Move, int], Command]


def some_levels(number: int) -> list[tuple[str, int]]:
    """Some of the capabilities, at some levels."""
    return [(name, number % 11 * 100) for i, name in enumerate(CAPABILITIES) if number >> i & 1]


def some_labels(move: Move) -> dict[str, str]:
    """One label."""
    return {move.line(64).replace("=", "") or "key": move.line()}


def some_team(state: TenantState, move: Move) -> str:
    """Mostly the id of a team that exists."""
    known = sorted(team.id for team in state.all(Team))
    return known[move.task % len(known)] if known and move.number else move.team_id


def some_task(state: TenantState, move: Move) -> str:
    """Mostly the id of a task that exists, unfinished ones first."""
    known = sorted((not task.is_live(), task.id) for task in state.all(Task))
    return known[move.task * 2 % len(known)][1] if known else move.task_id


def some_lease(state: TenantState, move: Move) -> tuple[str, str, int]:
    """Task, agent and attempt: mostly those of a held task, sometimes stale or made up."""
    held = [task for task in state.all(Task) if task.status in HELD and task.assignment]
    if not held or move.number == 0:
        return some_task(state, move), move.agent_id, move.agent + 1
    task = held[move.task % len(held)]
    assert task.assignment is not None
    attempt = max(task.attempt - (move.number == 1), 1)
    return task.id, move.agent_id if move.number == 2 else task.assignment.agent_id, attempt
