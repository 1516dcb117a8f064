"""The shape of a plan: its dependencies resolved, and proof that they have no cycle."""

from collections.abc import Iterable, Mapping

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.plans.commands import PlanTaskSpec
from agent_orchestration.domain.plans.events import PlannedTask
from agent_orchestration.domain.plans.model import child_id
from agent_orchestration.domain.tasks.model import (
    Dependency,
    Requirement,
    Task,
    refuse_twice,
    requirements_of,
)


def planned_tasks(
    state: TenantState, plan_id: str, specs: Iterable[PlanTaskSpec]
) -> tuple[PlannedTask, ...]:
    """The tasks with their global ids and dependencies; raises `Rejected` or `NotFound` naming the
    task for duplicates, ids that are taken or unknown, and cycles."""
    by_id: dict[str, PlanTaskSpec] = {}
    for number, spec in enumerate(specs):
        if spec.task_id in by_id:
            raise _rejected(number, "id", "duplicate", f"{spec.task_id} is used twice")
        if state.get(Task, child_id(plan_id, spec.task_id)) is not None:
            raise _rejected(
                number, "id", "already_exists", f"task {child_id(plan_id, spec.task_id)} exists"
            )
        by_id[spec.task_id] = spec
    planned = tuple(
        _planned(state, plan_id, number, spec, by_id) for number, spec in enumerate(by_id.values())
    )
    _refuse_cycle(by_id)
    return planned


def all_requirements(tasks: Iterable[PlannedTask]) -> tuple[Requirement, ...]:
    """Every capability that any task requires, at the highest level asked for."""
    highest: dict[str, int] = {}
    for needs in {task.requires for task in tasks}:
        for need in needs:
            highest[need.capability] = max(need.level, highest.get(need.capability, 0))
    return tuple(Requirement(name, highest[name]) for name in sorted(highest))


def _planned(
    state: TenantState,
    plan_id: str,
    number: int,
    spec: PlanTaskSpec,
    by_id: Mapping[str, PlanTaskSpec],
) -> PlannedTask:
    dependencies: list[Dependency] = []
    unmet = 0
    reason = None
    for named in spec.depends_on:
        inside = named.task_id in by_id
        task_id = child_id(plan_id, named.task_id) if inside else named.task_id
        dependencies.append(Dependency(task_id, named.on_failure))
        task = None if inside else _outside(state, number, task_id, named.on_failure)
        if inside or (task is not None and task.waits_for(named.on_failure)):
            unmet += 1
            if task is not None and not task.is_live():
                reason = f"dependency {task.id} {task.status}"
    refuse_twice(f"tasks.{number}.depends_on", sorted(d.task_id for d in dependencies))
    return PlannedTask(
        task_id=child_id(plan_id, spec.task_id),
        title=spec.title or spec.task_id,
        description=spec.description,
        requires=requirements_of(spec.requires, f"tasks.{number}.requires"),
        depends_on=tuple(sorted(dependencies)),
        unmet=unmet,
        priority=spec.priority,
        labels=spec.labels,
        payload=spec.payload,
        lease_seconds=spec.lease_seconds,
        retry=spec.retry,
        reason=reason,
    )


def _outside(state: TenantState, number: int, task_id: str, on_failure: str) -> Task:
    task = state.get(Task, task_id)
    if task is None:
        raise NotFound(
            "unknown_task",
            f"tasks.{number}.depends_on: there is no task {task_id}, neither in the plan nor"
            " outside; name an id of the plan",
            field=f"tasks.{number}.depends_on",
            task_id=task_id,
        )
    if task.status in ("failed", "cancelled") and on_failure == "cancel":
        raise _rejected(
            number, "depends_on", "dependency_failed", f"task {task_id} is already {task.status}"
        )
    return task


def _refuse_cycle(by_id: Mapping[str, PlanTaskSpec]) -> None:
    """Take away tasks without open dependencies until none is left; what stays holds a cycle."""
    waiting = {
        task_id: {d.task_id for d in spec.depends_on if d.task_id in by_id}
        for task_id, spec in by_id.items()
    }
    dependents: dict[str, list[str]] = {}
    for task_id, needs in waiting.items():
        for need in needs:
            dependents.setdefault(need, []).append(task_id)
    free = [task_id for task_id, needs in waiting.items() if not needs]
    while free:
        done = free.pop()
        del waiting[done]
        for dependent in dependents.get(done, ()):
            waiting[dependent].discard(done)
            if not waiting[dependent]:
                free.append(dependent)
    if not waiting:
        return
    place: dict[str, int] = {}
    here = min(waiting)
    while here not in place:
        place[here] = len(place)
        here = min(waiting[here])
    cycle = [*list(place)[place[here] :], here]
    shown = " -> ".join(cycle if len(cycle) <= 12 else [*cycle[:10], "…", cycle[-1]])
    raise Rejected(
        "cycle",
        f"tasks: {shown} depend on each other in a circle; take one of the dependencies away",
        field="tasks",
        cycle=cycle[:100],
    )


def _rejected(number: int, field: str, code: str, problem: str) -> Rejected:
    name = f"tasks.{number}.{field}"
    return Rejected(code, f"{name}: {problem}; choose another", field=name)
