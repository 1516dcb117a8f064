"""What `explain_task` says of every unfinished task, asked of a graph as callers ask it."""

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import Graph
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import ANYBODY, Agent
from agent_orchestration.domain.tasks.index import Children, meets
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.tasks.views import Explanation
from agent_orchestration.pipeline.gateway import CallerGateway
from agent_orchestration.pipeline.progress import Progress
from tests.properties.contents import unmet

MOST_NAMED = 5
"""So many ids does a sentence name."""


def gateway_of(graph: Graph, tenant: str) -> CallerGateway:
    """A gateway for questions; there is nobody to take commands."""

    async def caught_up(_tenant: str, _seconds: float) -> bool:
        return True

    def reading(_tenant: str) -> AbstractContextManager[None]:
        return nullcontext()

    nobody = cast("Any", None)
    return CallerGateway(
        Caller(tenant=tenant),
        # Whoever reads what was written counts as a caller of the bus.
        bus=cast("Any", SimpleNamespace(reading=reading)),
        graph=graph,
        passwords=nobody,
        registry=REGISTRY,
        progress=Progress(),
        read_cypher=nobody,
        caught_up=caught_up,
        owns=lambda _tenant: False,
        common_rules=nobody,
        analytics=nobody,
    )


async def check_explanations(graph: Graph, state: TenantState) -> int:
    """Every unfinished task has a next step, and its explanation names it; how many there were.
    The graph has what the state knows."""
    gateway = gateway_of(graph, state.tenant)
    live = [task for task in state.all(Task) if task.is_live()]
    for task in live:
        answer = await REGISTRY.tools["explain_task"].call(gateway, {"task_id": task.id})
        told = Explanation.model_validate(answer)
        assert told.task.status == task.status
        assert told.next_step, told
        _check(state, task, told)
    return len(live)


def _check(state: TenantState, task: Task, told: Explanation) -> None:
    waits = {(one.what, one.id) for one in told.waits_for}
    words = f"{told.summary} {told.next_step} {[one.detail for one in told.waits_for]}"
    if task.children:
        _check_plan(state, task, told)
    elif task.status in HELD:
        assert task.assignment is not None
        assert task.lease_until is not None
        assert waits == {("holder", task.assignment.agent_id)}
        assert to_datetime(task.lease_until).isoformat() in words
    elif task.retry_at is not None:
        assert {what for what, _ in waits} == {"time"}
        assert to_datetime(task.retry_at).isoformat() in words
    elif task.status == "ready":
        _check_ready(state, task, told)
    else:
        _check_blocked(state, task, told)


def _check_ready(state: TenantState, task: Task, told: Explanation) -> None:
    """Those who could claim it, or what nobody can."""
    agents = [agent for agent in state.all(Agent) if agent.retired_at is None]
    able = {agent.id for agent in agents if meets(agent.abilities, task.needs)}
    free = {
        agent.id for agent in agents if agent.id in able and agent.active < agent.max_concurrency
    }
    waits = {(one.what, one.id) for one in told.waits_for}
    if task.meant_for is not None:
        assert waits == {("agent", task.meant_for)}
        assert (told.next_step == f"{task.meant_for} claims it") == (task.meant_for in free)
    elif ANYBODY in {need.capability for need in task.needs}:
        assert told.next_step == "an agent claims it"
    elif able:
        assert {one.id for one in told.waits_for if one.what == "agent"} == able
    else:
        assert {one.id for one in told.waits_for if one.what == "capability"} == {
            need.capability for need in task.requires
        }
        assert task.team_id is None or task.team_id in told.summary


def _check_blocked(state: TenantState, task: Task, told: Explanation) -> None:
    """What it waits for, and whether that is in vain."""
    named = {one.id for one in told.waits_for if one.what == "dependency"}
    waits = unmet(state, task)
    assert waits
    assert set(waits) <= named
    others = {name: state.get(Task, name) for name in waits}
    failed = [name for name, other in others.items() if other and not other.is_live()]
    if failed:
        assert "for good" in told.summary
        assert any(name in told.summary for name in failed)
    else:
        assert any(name in (told.next_step or "") for name in waits[:MOST_NAMED])


def _check_plan(state: TenantState, plan: Task, told: Explanation) -> None:
    """One of its open tasks, or one of those outside that they wait for."""
    children = state.index(Children).of(plan.id)
    outside = {
        name
        for child in children
        if (task := state.get(Task, child)) is not None
        for name in unmet(state, task)
    }
    assert any(name in (told.next_step or "") for name in {*children, *outside}), told.next_step
