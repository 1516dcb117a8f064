"""What is told of the tenants that a process decides for."""

from pathlib import Path

import pytest

from agent_orchestration import measures
from agent_orchestration.measures import Gauge
from agent_orchestration.pipeline import live_work, waiting_tenants
from tests.integration.test_poison import poisoned
from tests.integration.world import Clock, World, until


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_work, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(waiting_tenants, "LATER_SECONDS", 0.0)


def shown(gauge: Gauge, tenant: str = "default") -> dict[str, float]:
    """By status, what there is at all."""
    return {
        status: many for (name, status), many in gauge.read().items() if name == tenant and many
    }


async def comes(gauge: Gauge, wanted: dict[str, float], tenant: str = "default") -> None:
    await until(lambda: shown(gauge, tenant) == wanted, f"{gauge.name} to be {wanted}")


def only(gauge: Gauge, *labels: str) -> float | None:
    return gauge.read().get(labels)


async def test_tasks_agents_and_teams_are_told_by_status(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob"):
            await world.agent(name)
        for name in "abc":
            await world.task(name)
        await world.task("d", depends_on=[{"task_id": "c"}])
        await world.call("form_team", id="team", goal="G", members=[{"agent_id": "bob"}])
        await world.call("claim_task", agent_id="ann")
        await comes(measures.TASKS_BY_STATUS, {"running": 1, "ready": 2, "blocked": 1})
        assert ("default", "assigned") in measures.TASKS_BY_STATUS.read()
        await comes(measures.AGENTS_BY_STATUS, {"busy": 1, "idle": 1})
        await comes(measures.TEAMS_BY_STATUS, {"active": 1})
        assert only(measures.STATE_ENTITIES, "Task") == 4
        await world.call("complete_task", task_id="a", agent_id="ann", attempt=1)
        await comes(measures.TASKS_BY_STATUS, {"ready": 2, "blocked": 1})
        await world.call("disband_team", team_id="team")
        await comes(measures.TEAMS_BY_STATUS, {})
        await world.call("retire_agent", agent_id="bob")
        await comes(measures.AGENTS_BY_STATUS, {"idle": 1})
    for gauge in live_work.GAUGES:
        assert not gauge.read(), gauge.name


async def test_ready_tasks_that_wait_and_for_whom_there_is_nobody(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.agent("ann", capabilities=[{"name": "write", "level": 0.5}], max_concurrency=3)
        await world.task("well", requires=[{"capability": "write", "level": 0.5}])
        await world.task("anybody")
        await world.task("hers", agent_id="ann")
        clock.pass_seconds(30)
        for name in ("x", "y"):
            await world.task(name, requires=[{"capability": "write", "level": 0.9}])
        await world.task("z", requires=[{"capability": "fly"}])
        clock.pass_seconds(60)
        await until(lambda: only(measures.UNSTAFFED, "default") == 3, "three that nobody can do")
        await until(lambda: only(measures.OLDEST_READY, "default") == 90, "a task that waits")
        for _ in range(3):
            await world.call("claim_task", agent_id="ann")
        await until(lambda: only(measures.OLDEST_READY, "default") == 60, "the oldest one taken")


async def test_a_task_waits_also_after_a_restart_and_where_nobody_calls(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.task("t", requires=[{"capability": "fly"}])
        await world.settled()
    clock.pass_seconds(30)
    async with World(tmp_path, clock):
        await until(lambda: only(measures.OLDEST_READY, "default") == 30, "a tenant that waits")
        assert only(measures.UNSTAFFED, "default") == 1


async def test_the_longest_histories_are_named_the_others_are_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_work, "MOST_TENANTS", 2)
    clock = Clock()
    async with World(tmp_path, clock) as world:
        for number, tenant in enumerate(("a", "b", "c", "d"), 1):
            for task in range(number):
                await world.task(f"t{task}", tenant)
            clock.pass_seconds(10)
        await comes(measures.TASKS_BY_STATUS, {"ready": 1 + 2}, "other")
        await comes(measures.TASKS_BY_STATUS, {"ready": 4}, "d")
        assert {tenant for tenant, _ in measures.TASKS_BY_STATUS.read()} == {"c", "d", "other"}
        assert only(measures.OLDEST_READY, "other") == 40
        assert only(measures.OLDEST_READY, "d") == 10
        assert only(measures.TENANT_STATES) == 4


async def test_tenants_that_are_set_aside_are_told_by_whoever_has_their_partition(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await until(lambda: only(measures.QUARANTINED) == 0, "a look")
        await poisoned(world)
        await until(lambda: only(measures.QUARANTINED) == 1, "the tenant to be set aside")
    assert only(measures.QUARANTINED) is None
    async with World(tmp_path):
        await until(lambda: only(measures.QUARANTINED) == 1, "a look")
