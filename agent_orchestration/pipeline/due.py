"""What time will make happen: the deadlines of a tenant and the commands they lead to."""

from agent_orchestration.core.folding import Folded
from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.commands import ExpireAgent
from agent_orchestration.domain.agents.index import Silence
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.commands import ExpireLease, ReleaseTask
from agent_orchestration.domain.tasks.index import TaskDeadlines
from agent_orchestration.domain.tasks.model import Task

Due = tuple[int, str, str, int]
"""(time in ms, "lease" | "retry" | "silence", id of the task or agent, attempt)."""


def next_due(state: TenantState) -> int | None:
    """When the first deadline of the tenant is over, as far as the facts say."""
    firsts = (state.index(TaskDeadlines).deadlines.first(), state.index(Silence).deadlines.first())
    return min((first[0] for first in firsts if first is not None), default=None)


def next_of(state: TenantState, folded: Folded) -> int | None:
    """The first deadline of what an event touched."""
    deadlines: list[int] = []
    for touched in folded.touched.values():
        entity = touched.entity
        if isinstance(entity, Task):
            task_due = state.index(TaskDeadlines).key(entity)
            deadlines += [task_due[0]] if task_due else []
        elif isinstance(entity, Agent):
            agent_due = state.index(Silence).key(entity)
            deadlines += [agent_due[0]] if agent_due else []
    return min(deadlines, default=None)


def due_until(state: TenantState, at: int) -> list[Due]:
    """Every deadline of the tenant up to `at`, in order."""
    silences = state.index(Silence).deadlines.until(at)
    silent = [(time, "silence", agent, 0) for time, agent in silences]
    return sorted([*state.index(TaskDeadlines).deadlines.until(at), *silent])


def command_for(due: Due) -> Command:
    """The command that makes a deadline's consequence happen."""
    _, kind, entity_id, attempt = due
    if kind == "lease":
        return ExpireLease(task_id=entity_id, attempt=attempt)
    if kind == "retry":
        return ReleaseTask(task_id=entity_id, attempt=attempt)
    return ExpireAgent(agent_id=entity_id)
