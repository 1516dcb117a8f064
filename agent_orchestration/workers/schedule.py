"""What a workflow's shape allows: its width, its critical path, and the ideal schedule.

All functions take the tasks with parents before their children, as a `Workflow` holds them.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from agent_orchestration.workers.wfformat import WorkflowTask


class CriticalPath(msgspec.Struct, frozen=True):
    """The chain of dependent tasks that takes longest: task ids in order, and seconds."""

    tasks: tuple[str, ...]
    seconds: float


def critical_path(tasks: Sequence[WorkflowTask]) -> CriticalPath:
    """No number of agents finishes earlier than this."""
    finish: dict[str, float] = {}
    before: dict[str, str] = {}
    for task in tasks:
        latest = max(task.parents, key=finish.__getitem__, default=None)
        if latest is not None:
            before[task.id] = latest
        finish[task.id] = task.runtime_seconds + (finish[latest] if latest else 0.0)
    step: str | None = max(finish, key=finish.__getitem__)
    seconds = finish[step]
    path: list[str] = []
    while step is not None:
        path.append(step)
        step = before.get(step)
    return CriticalPath(tuple(reversed(path)), seconds)


def levels(tasks: Sequence[WorkflowTask]) -> list[list[WorkflowTask]]:
    """The tasks by depth: those of one level depend on earlier levels only."""
    depth: dict[str, int] = {}
    found: list[list[WorkflowTask]] = []
    for task in tasks:
        level = max((depth[parent] + 1 for parent in task.parents), default=0)
        depth[task.id] = level
        if level == len(found):
            found.append([])
        found[level].append(task)
    return found


def widths(tasks: Sequence[WorkflowTask]) -> dict[str, int]:
    """Capability -> the most tasks of one level that need it: how many could run at a time."""
    width: dict[str, int] = {}
    for level in levels(tasks):
        for capability, count in Counter(task.capability for task in level).items():
            width[capability] = max(count, width.get(capability, 0))
    return width


def ideal_makespan(tasks: Sequence[WorkflowTask], agents: Sequence[Iterable[str]]) -> float:
    """Seconds from start to end where claiming, reporting and storing take no time at all.

    `agents` holds the capabilities of each; an agent does one task at a time and takes, of the
    ready tasks that it can do, the oldest (in the order of `tasks`), as the platform gives them
    out at equal priority.
    """
    return _Simulation(tasks, agents).run()


class _Simulation:
    def __init__(self, tasks: Sequence[WorkflowTask], agents: Sequence[Iterable[str]]) -> None:
        self._tasks = tasks
        self._agents = [tuple(capabilities) for capabilities in agents]
        index = {task.id: number for number, task in enumerate(tasks)}
        self._waiting = [len(task.parents) for task in tasks]
        self._children: list[list[int]] = [[] for _ in tasks]
        for number, task in enumerate(tasks):
            for parent in task.parents:
                self._children[index[parent]].append(number)
        self._ready: dict[str, list[int]] = {}
        self._idle: dict[str, set[int]] = {}
        #: (time it ends, agent, task)
        self._running: list[tuple[float, int, int]] = []

    def run(self) -> float:
        """The time at which the last task ends."""
        now, done = 0.0, 0
        for number, count in enumerate(self._waiting):
            if count == 0:
                self._make_ready(number)
        for agent in range(len(self._agents)):
            self._take(agent, now)
        while self._running:
            now = self._running[0][0]
            free: list[int] = []
            while self._running and self._running[0][0] == now:
                _, agent, number = heapq.heappop(self._running)
                free.append(agent)
                done += 1
                self._complete(number)
            for agent in free:
                self._take(agent, now)
            self._wake_idle(now)
        if done < len(self._tasks):
            raise ValueError("the agents lack a capability that a task needs")
        return now

    def _make_ready(self, number: int) -> None:
        heapq.heappush(self._ready.setdefault(self._tasks[number].capability, []), number)

    def _complete(self, number: int) -> None:
        for child in self._children[number]:
            self._waiting[child] -= 1
            if self._waiting[child] == 0:
                self._make_ready(child)

    def _take(self, agent: int, now: float) -> None:
        """Give a free agent its oldest ready task, or note that it is idle."""
        queues = [self._ready[c] for c in self._agents[agent] if self._ready.get(c)]
        for capability in self._agents[agent]:
            if queues:
                self._idle.get(capability, set()).discard(agent)
            else:
                self._idle.setdefault(capability, set()).add(agent)
        if queues:
            number = heapq.heappop(min(queues))
            ends = now + self._tasks[number].runtime_seconds
            heapq.heappush(self._running, (ends, agent, number))

    def _wake_idle(self, now: float) -> None:
        for capability, queue in self._ready.items():
            while queue and self._idle.get(capability):
                self._take(min(self._idle[capability]), now)
