"""How a task ends, and what that means for its agent, its dependents, its plan and its children."""

from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.index import OpenSpends
from agent_orchestration.domain.budgets.model import unconfirm
from agent_orchestration.domain.tasks.index import Children, Dependents
from agent_orchestration.domain.tasks.model import HELD, Dependency, Task, TaskStatus

Ending = tuple[Task, TaskStatus, str | None]


def end(
    state: TenantState, task: Task, status: TaskStatus, at: int, reason: str | None = None
) -> None:
    """End the task, and whatever ends with it: dependents by their edges, the plan with its last
    task, the open tasks of a plan with the plan."""
    ending: list[Ending] = [(task, status, reason)]
    while ending:
        task, status, reason = ending.pop()
        if not task.is_live():
            continue
        if task.status in HELD and task.assignment is not None:
            let_go(state, task.id, task.assignment.agent_id)
        task.finish(status, at, reason)
        if waiting := state.index(Dependents).of(task.id):
            ending += _dependents(state, task, waiting)
        if task.open_children or task.parent_id is not None:
            ending += _family(state, task)


def let_go(state: TenantState, task_id: str, agent_id: str) -> None:
    """The attempt is over: the agent is free, and what is still reserved for it counts as spent."""
    state.change(Agent, agent_id).release()
    unconfirm(state, state.index(OpenSpends).of(task_id))


def _dependents(
    state: TenantState, task: Task, waiting: tuple[tuple[str, Dependency], ...]
) -> list[Ending]:
    """Those that may go on do; answers those that end as well."""
    ending: list[Ending] = []
    for dependent_id, edge in waiting:
        dependent = state.change(Task, dependent_id)
        if not dependent.is_live():
            continue
        if task.status == "completed" or edge.on_failure == "continue":
            dependent.dependency_met()
        elif edge.on_failure == "cancel":
            ending.append((dependent, "cancelled", f"dependency {task.id} {task.status}"))
        else:
            dependent.reason = f"dependency {task.id} {task.status}"
    return ending


def _family(state: TenantState, task: Task) -> list[Ending]:
    """The open tasks of a plan that ended early, and the plan whose last task this was."""
    ending: list[Ending] = [
        (state.change(Task, child), "cancelled", f"plan {task.id} {task.status}")
        for child in (state.index(Children).of(task.id) if task.open_children else ())
    ]
    if task.parent_id is not None:
        plan = state.change(Task, task.parent_id)
        outcome = plan.child_ended(completed=task.status == "completed")
        if outcome is not None:
            ending.append((plan, *outcome))
    return ending
