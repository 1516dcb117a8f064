"""What the indexes hold, and what they should answer, found by looking at everything."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.deadlines import Deadlines
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.index import (
    AgentsByCapability,
    AgentStatuses,
    KnownAgents,
    Levels,
    Silence,
)
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.index import OpenSpends
from agent_orchestration.domain.budgets.model import Spend
from agent_orchestration.domain.tasks.index import (
    Children,
    Dependents,
    ReadyTasks,
    TaskDeadlines,
    TasksByAgent,
    TaskStatuses,
)
from agent_orchestration.domain.tasks.model import HELD, Dependency, Task
from agent_orchestration.domain.teams.index import TeamMembers, TeamStatuses, TeamTasks
from agent_orchestration.domain.templates.index import TemplateVersions
from agent_orchestration.domain.templates.model import Template
from agent_orchestration.pipeline.due import Due


def index_contents(state: TenantState) -> dict[str, Any]:
    """What every index has filed, without what it would skip anyway."""
    ready: dict[Any, Any] = {}
    for requires, group in vars(state.index(ReadyTasks))["_tasks"].all_groups():
        assert group.first == min(group.orders())
        ready[requires] = group.orders()
    return {
        "ready": ready,
        "dependents": _plain(vars(state.index(Dependents))["_waiting"]),
        "tasks by status": dict(state.index(TaskStatuses).counts),
        "agents by status": dict(state.index(AgentStatuses).counts),
        "teams by status": dict(state.index(TeamStatuses).counts),
        "ready tasks": set(vars(state.index(TaskStatuses))["_ready_since"]),
        "holders": _plain(vars(state.index(TasksByAgent))["_held"]),
        "capabilities": _capabilities(state.index(AgentsByCapability)),
        "children": _plain(vars(state.index(Children))["_open"]),
        "members": _plain(vars(state.index(TeamMembers))["_members"]),
        "work of teams": _plain(vars(state.index(TeamTasks))["_tasks"]),
        "versions": dict(vars(state.index(TemplateVersions))["_newest"]),
        "known agents": state.index(KnownAgents).ids(),
        "open spends": _plain(vars(state.index(OpenSpends))["_open"]),
        "tasks due": _entries(state.index(TaskDeadlines).deadlines),
        "agents due": _entries(state.index(Silence).deadlines),
    }


def _capabilities(index: AgentsByCapability) -> dict[str, Any]:
    """For each capability, who has it, and who at which level or above."""
    bits: dict[str, int] = vars(index)["_bits"]
    agents: dict[str, set[str]] = _plain(vars(index)["_agents"])
    levels: dict[str, Levels] = vars(index)["_levels"]
    assert levels.keys() == agents.keys()
    return {
        name: {
            0: its,
            **{
                level: {agent for agent in bits if levels[name].at(level) & bits[agent]}
                for level in levels[name].levels
            },
        }
        for name, its in agents.items()
    }


def _plain(filed: Mapping[str, Any]) -> dict[str, Any]:
    assert all(filed.values()), "an empty entry stayed"
    return {key: type(value)(value) for key, value in filed.items()}


def _entries(deadlines: Deadlines[Any]) -> dict[str, Any]:
    return dict(vars(deadlines)["_entries"])


def recomputed(state: TenantState) -> dict[str, Any]:
    """The contents of indexes made anew from the entities."""
    fresh = REGISTRY.new_state(state.tenant)
    for cls in REGISTRY.entities.values():
        for entity in state.all(cls):
            fresh.load(entity)
    return index_contents(fresh)


def best_ready(
    state: TenantState,
    levels: Mapping[str, int],
    teams: Iterable[str] = (),
    agent_id: str | None = None,
    *,
    dedicated: bool | None = None,
) -> str | None:
    """The task to claim next for somebody with these levels who is in these teams and is that
    agent."""
    allowed = {None, *teams}

    def able(task: Task) -> bool:
        meant = task.team_id in allowed and task.meant_for in (None, agent_id)
        asks = task.requires or task.team_id or task.meant_for
        return bool(meant and (asks or not dedicated)) and all(
            need.capability in levels and levels[need.capability] >= need.level
            for need in task.requires
        )

    ready = [task for task in state.all(Task) if task.status == "ready" and able(task)]
    return min(ready, key=lambda t: (t.priority, t.created_seq, t.id)).id if ready else None


def unstaffed(state: TenantState, requires: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """The capabilities that keep everybody from doing it."""
    needed = sorted(requires)
    agents = [agent.levels for agent in state.all(Agent) if agent.retired_at is None]

    def able(*needs: tuple[str, int]) -> bool:
        return any(all(has.get(n, -1) >= level for n, level in needs) for has in agents)

    lacking = tuple(name for name, level in needed if not able((name, level)))
    return lacking or (() if not needed or able(*needed) else tuple(n for n, _ in needed))


def open_children(state: TenantState, plan_id: str) -> tuple[str, ...]:
    """The unfinished tasks of a plan."""
    its = [task.id for task in state.all(Task) if task.parent_id == plan_id and task.is_live()]
    return tuple(sorted(its))


def work_of(state: TenantState, team_id: str) -> tuple[str, ...]:
    """The unfinished tasks of a team."""
    its = [task.id for task in state.all(Task) if task.team_id == team_id and task.is_live()]
    return tuple(sorted(its))


def members(state: TenantState, team_id: str) -> dict[str, str]:
    """Agent -> role, in order of agent."""
    found = {a.id: m.role for a in state.all(Agent) for m in a.memberships if m.team_id == team_id}
    return dict(sorted(found.items()))


def open_spends(state: TenantState, task_id: str) -> tuple[str, ...]:
    """What is reserved for a task."""
    its = [s.id for s in state.all(Spend) if s.task_id == task_id and s.status == "reserved"]
    return tuple(sorted(its))


def newest(state: TenantState, name: str) -> int:
    """The newest version of a template; 0 without any."""
    return max((t.version for t in state.all(Template) if t.name == name), default=0)


def held_by(state: TenantState, agent_id: str) -> frozenset[str]:
    """The tasks that an agent holds."""
    return frozenset(task.id for task in state.all(Task) if task.held_by(agent_id))


def waiting_for(state: TenantState, task_id: str) -> tuple[tuple[str, Dependency], ...]:
    """The blocked tasks that wait for anything and name this task."""
    found = [
        (task.id, edge)
        for task in state.all(Task)
        if task.status == "blocked" and task.waiting_on
        for edge in task.depends_on
        if edge.task_id == task_id
    ]
    return tuple(sorted(found))


def all_due(state: TenantState) -> list[Due]:
    """Every deadline, in order."""
    due: list[Due] = []
    for task in state.all(Task):
        if task.status in HELD and task.lease_until is not None:
            due.append((task.lease_until, "lease", task.id, task.attempt))
        if task.status == "blocked" and task.retry_at is not None:
            due.append((task.retry_at, "retry", task.id, task.attempt))
    due += [
        (agent.seen_at + agent.heartbeat_seconds * 1000, "silence", agent.id, 0)
        for agent in state.all(Agent)
        if agent.heartbeat_seconds is not None and agent.status not in ("offline", "retired")
    ]
    return sorted(due)


def unmet(state: TenantState, task: Task) -> list[str]:
    """The dependencies that keep a task waiting: unfinished ones, and those whose bad end is not
    to be overlooked."""
    found: list[str] = []
    for edge in task.depends_on:
        other = state.get(Task, edge.task_id)
        assert other is not None
        ended_badly = other.status in ("failed", "cancelled")
        if other.is_live() or (ended_badly and edge.on_failure != "continue"):
            found.append(other.id)
    return found
