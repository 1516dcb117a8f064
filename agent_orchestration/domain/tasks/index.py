"""Questions about tasks that decisions and the timer ask."""

from collections.abc import Mapping

from agent_orchestration.core.deadlines import Deadlines
from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.core.statuses import Statuses
from agent_orchestration.domain.agents.index import AgentsByCapability
from agent_orchestration.domain.agents.model import is_capability
from agent_orchestration.domain.tasks.model import HELD, OPEN, Dependency, Requirement, Task
from agent_orchestration.domain.tasks.ready import LAST, Names, Order


class ReadyTasks(StateIndex[Task]):
    """The ready tasks, by what a holder needs, in order of claiming."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._tasks = Names()

    def key(self, entity: Task) -> tuple[tuple[Requirement, ...], Order] | None:
        """What a holder needs, and the order within that."""
        if entity.status != "ready":
            return None
        return entity.needs, (entity.priority, entity.created_seq, entity.id)

    def put(self, key: tuple[tuple[Requirement, ...], Order], entity: Task) -> None:
        """Into its group."""
        self._tasks.put(*key)

    def drop(self, key: tuple[tuple[Requirement, ...], Order], entity: Task) -> None:
        """Out of its group."""
        self._tasks.drop(*key)

    def best(self, levels: Mapping[str, int]) -> str | None:
        """The id of the task to claim next for somebody with these capabilities."""
        found, looks = self._tasks.best(levels)
        self.state.examined += looks
        return None if found is LAST else found[2]

    def unstaffed(self) -> int:
        """How many require what no agent is able to do. Looks at every group of equal requirements:
        for those who watch the platform, not for a decision."""
        agents = self.state.index(AgentsByCapability)
        found = 0
        for needs, group in self._tasks.all_groups():
            requires = [
                (one.capability, one.level) for one in needs if is_capability(one.capability)
            ]
            if requires and agents.unstaffed(requires):
                found += len(group)
        return found


class TaskStatuses(Statuses[Task]):
    """The unfinished tasks, and since when the ready ones are ready: since the tenant's last event
    before they were loaded, where they were loaded."""

    ENTITY = Task
    STATUSES = OPEN

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        #: In order of time, which a tenant's events are in.
        self._ready_since: dict[str, int] = {}

    def key(self, entity: Task) -> str | None:
        """Its status, until it is finished."""
        return entity.status if entity.is_live() else None

    def put(self, key: str, entity: Task) -> None:
        """One more has that status, from the event on that is folded."""
        super().put(key, entity)
        if key == "ready":
            self._ready_since[entity.id] = self.state.at

    def drop(self, key: str, entity: Task) -> None:
        """One less."""
        super().drop(key, entity)
        if key == "ready":
            del self._ready_since[entity.id]

    def oldest_ready(self) -> int | None:
        """Since when the task is ready that waits for longest; None without any. Milliseconds since
        the epoch."""
        return next(iter(self._ready_since.values()), None)


def meets(levels: Mapping[str, int], requires: tuple[Requirement, ...]) -> bool:
    """Whether these capabilities are enough for the requirements."""
    return all(levels.get(need.capability, -1) >= need.level for need in requires)


class Children(StateIndex[Task]):
    """The unfinished tasks of each plan."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._open: dict[str, set[str]] = {}

    def key(self, entity: Task) -> str | None:
        """The plan of an unfinished task."""
        return entity.parent_id if entity.parent_id is not None and entity.is_live() else None

    def put(self, key: str, entity: Task) -> None:
        """A task more."""
        self._open.setdefault(key, set()).add(entity.id)

    def drop(self, key: str, entity: Task) -> None:
        """A task less."""
        self._open[key].discard(entity.id)
        if not self._open[key]:
            del self._open[key]

    def of(self, plan_id: str) -> tuple[str, ...]:
        """The ids of its unfinished tasks, in order."""
        return tuple(sorted(self._open.get(plan_id, ())))


class Dependents(StateIndex[Task]):
    """Which blocked tasks wait for a task."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._waiting: dict[str, dict[str, Dependency]] = {}

    def key(self, entity: Task) -> tuple[Dependency, ...] | None:
        """Filed under each dependency, while blocked by any."""
        return entity.depends_on if entity.waiting_on and entity.status == "blocked" else None

    def put(self, key: tuple[Dependency, ...], entity: Task) -> None:
        """Wait for each."""
        for dependency in key:
            self._waiting.setdefault(dependency.task_id, {})[entity.id] = dependency

    def drop(self, key: tuple[Dependency, ...], entity: Task) -> None:
        """Wait for none."""
        for dependency in key:
            waiting = self._waiting[dependency.task_id]
            del waiting[entity.id]
            if not waiting:
                del self._waiting[dependency.task_id]

    def of(self, task_id: str) -> tuple[tuple[str, Dependency], ...]:
        """(id of the blocked task, its dependency on `task_id`), in order of id."""
        waiting = self._waiting.get(task_id)
        return tuple(sorted(waiting.items())) if waiting else ()


class TasksByAgent(StateIndex[Task]):
    """Which tasks an agent holds."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._held: dict[str, set[str]] = {}

    def key(self, entity: Task) -> str | None:
        """The agent that holds it."""
        held = entity.assignment
        return held.agent_id if held is not None and entity.status in HELD else None

    def put(self, key: str, entity: Task) -> None:
        """Held by that agent."""
        self._held.setdefault(key, set()).add(entity.id)

    def drop(self, key: str, entity: Task) -> None:
        """No longer held."""
        self._held[key].discard(entity.id)
        if not self._held[key]:
            del self._held[key]

    def of(self, agent_id: str) -> frozenset[str]:
        """The ids of the tasks that the agent holds."""
        return frozenset(self._held.get(agent_id, ()))


Deadline = tuple[int, str, str, int]
"""(time in ms, "lease" or "retry", task id, attempt)."""


class TaskDeadlines(StateIndex[Task]):
    """When leases run out and retries are due, as far as the facts say."""

    ENTITY = Task

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self.deadlines: Deadlines[Deadline] = Deadlines()

    def key(self, entity: Task) -> Deadline | None:
        """The task's next deadline."""
        if entity.lease_until is not None and entity.status in HELD:
            return (entity.lease_until, "lease", entity.id, entity.attempt)
        if entity.retry_at is not None and entity.status == "blocked":
            return (entity.retry_at, "retry", entity.id, entity.attempt)
        return None

    def put(self, key: Deadline, entity: Task) -> None:
        """Note it."""
        self.deadlines.put(entity.id, key)

    def drop(self, key: Deadline, entity: Task) -> None:
        """Forget it."""
        self.deadlines.drop(entity.id)
