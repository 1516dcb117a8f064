"""What there is to count in an event: read off the entities that it touched."""

from collections.abc import Iterator
from typing import cast

from agent_orchestration.analytics.windows import Fact
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.folding import Folded
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.model import Spend
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.teams.model import Team

ENDINGS = {
    "completed": "tasks_completed",
    "failed": "tasks_failed",
    "cancelled": "tasks_cancelled",
}
SUMS = (
    "agents_registered",
    "teams_formed",
    "teams_refused",
    "tasks_created",
    *ENDINGS.values(),
    "calls",
    "input_tokens",
    "output_tokens",
    "cost_micros",
)
"""All measures that are no durations."""


class Notes:
    """What must be remembered of live entities and is no field of them: since when tasks are ready,
    and which capabilities the task of a spend asked for, which may be over before the spend."""

    def __init__(self) -> None:
        self.ready_since: dict[str, int] = {}
        self.spent_on: dict[str, tuple[str, ...]] = {}


def facts_of(folded: Folded, state: TenantState, notes: Notes) -> Iterator[Fact]:
    """The facts of an event that was just folded into `state`; `notes` go on with it. Whatever an
    event brings about, such as the end of the tasks that depend on one, is seen here, too."""
    at = folded.envelope.at
    for touched in folded.touched.values():
        entity, before = touched.entity, touched.before
        if isinstance(entity, Task):
            yield from _of_task(entity, cast("Task | None", before), at, notes)
        elif isinstance(entity, Spend):
            yield from _of_spend(entity, before, state, notes)
        elif before is None and isinstance(entity, Agent):
            yield Fact("agents_registered", 1, tuple(one.capability for one in entity.skills))
        elif before is None and isinstance(entity, Team):
            yield Fact("teams_formed", 1, _asked_for(entity))


def _of_task(task: Task, before: Task | None, at: int, notes: Notes) -> Iterator[Fact]:
    if task.children is not None:
        return  # a plan is no work: its tasks are
    asked = _asked_for(task)
    if before is None:
        yield Fact("tasks_created", 1, asked)
    was = None if before is None else before.status
    if task.status == was:
        return
    if task.status == "ready":
        notes.ready_since[task.id] = at
    elif (since := notes.ready_since.pop(task.id, None)) is not None and task.status in HELD:
        yield Fact("queue_ms", at - since, asked)
    if not task.is_live():
        yield Fact(ENDINGS[task.status], 1, asked)
        held = None if before is None else before.assignment
        if task.status == "completed" and held is not None and was in HELD:
            yield Fact("run_ms", at - held.since, asked)


def _of_spend(
    spend: Spend, before: Entity | None, state: TenantState, notes: Notes
) -> Iterator[Fact]:
    if before is None:
        task = None if spend.task_id is None else state.get(Task, spend.task_id)
        notes.spent_on[spend.id] = () if task is None else _asked_for(task)
    if spend.is_live():
        return
    asked = notes.spent_on.pop(spend.id, ())
    if spend.status == "settled":
        yield Fact("calls", 1, asked)
        yield Fact("input_tokens", spend.prompt_tokens, asked)
        yield Fact("output_tokens", spend.completion_tokens, asked)
        yield Fact("cost_micros", spend.cost_micros, asked)


def _asked_for(entity: Task | Team) -> tuple[str, ...]:
    return tuple(need.capability for need in entity.requires)
