"""A batch the graph will never take: one tenant is set aside, the others go on."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_orchestration.backends.graph import GraphWrite, WriteRefused
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline import projector
from agent_orchestration.pipeline.topology import COMMANDS, SYSTEM_EVENTS
from tests.integration.world import World, live, others_go_on, tenant_on, until

BAD, GOOD = tenant_on(0, 0), tenant_on(0, 1)


@pytest.fixture(autouse=True, params=[projector.BATCH, 3])
def _batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a full batch is written the next one is folded: the small ones are often full."""
    monkeypatch.setattr(projector, "BATCH", request.param)


def refusing(poison: str) -> Callable[[GraphWrite], None]:
    """Refuses every write with that task."""

    def refuse(write: GraphWrite) -> None:
        rows = [*write.new_nodes.get("Task", ()), *write.nodes.get("Task", ())]
        if any(row["id"] == poison for row in rows):
            raise WriteRefused("write_refused", "poisonous")

    return refuse


async def quarantined(world: World, tenant: str) -> str | None:
    """Why the tenant is set aside, from its node in the graph."""
    rows = await world.graph.query(
        "MATCH (n:Tenant {id: $id}) RETURN n.quarantined AS why", {"id": tenant}
    )
    return rows[0]["why"] if rows else None


async def poisoned(world: World) -> None:
    """Both tenants have a task; then the bad one gets another that the graph refuses, in the
    middle of a batch of both."""
    for tenant in (BAD, GOOD):
        await world.task("fine", tenant)
    world.graph.refuse = refusing(f"{BAD}/poison")
    world.graph.gate.close()
    for number in range(10):
        await world.inject(CreateTask(title="x", task_id=f"t{number}"), f"{GOOD}{number}", GOOD)
        name = "poison" if number == 4 else f"t{number}"
        await world.inject(CreateTask(title="x", task_id=name), f"{BAD}{number}", BAD)
    world.graph.gate.open()
    await world.settled(GOOD)


async def test_only_the_tenant_with_the_poison_is_set_aside(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await poisoned(world)
        assert "poisonous" in str(await quarantined(world, BAD))
        assert "event 6 (TaskCreated)" in str(await quarantined(world, BAD))
        assert await quarantined(world, GOOD) is None
        await world.is_fold_of_log(GOOD)
        assert len(await world.events(GOOD)) == 11
        assert (await world.task("more", GOOD))["seq"] == 12
        assert (await world.platform.status())["ready"]


async def test_what_was_before_the_poison_stays_readable(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await poisoned(world)
        found = await world.call("list_tasks", BAD)
        assert [task["id"] for task in found["tasks"]] == ["fine", "t0", "t1", "t2", "t3"]


async def test_calls_of_the_tenant_are_unavailable_also_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await poisoned(world)
        before = len(await world.events(BAD))
        for _ in range(2):
            with pytest.raises(Unavailable, match="set aside") as refused:
                await world.task("more", BAD)
            assert refused.value.code == "tenant_quarantined"
        assert await world.records(SYSTEM_EVENTS) == []
    async with World(tmp_path) as world:
        with pytest.raises(Unavailable, match="set aside"):
            await world.task("more", BAD)
        await world.task("more", GOOD)
        assert len(await world.events(BAD)) == before
        assert "poisonous" in str(await quarantined(world, BAD))


async def test_a_rebuild_sets_the_same_tenant_aside(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await poisoned(world)
        await world.rebuilt_equal()
        world.graph.refuse = lambda _: None
        # Without the poison, a rebuild brings everything back.
        steps = [step async for step in world.platform.operate(Rebuild())]
        assert steps[-1]["equal"] is False
        assert await quarantined(world, BAD) is None
        await world.is_fold_of_log(BAD)
        await world.task("more", BAD)


async def test_a_quarantine_while_another_tenant_is_loaded(tmp_path: Path) -> None:
    """The bad tenant's state goes away between the loading of a batch and its decisions."""
    async with World(tmp_path) as world:
        for tenant in (BAD, GOOD):
            await world.task("fine", tenant)
    async with World(tmp_path) as world:
        await world.task("next", BAD)
        world.graph.refuse = refusing(f"{BAD}/poison")
        world.graph.gate.close()
        await world.inject(CreateTask(title="x", task_id="poison"), "c1", BAD)
        await until(lambda: world.graph.gate.waiting == 1, "the poison before the graph")
        # One batch of both; to load the good tenant, which is new here, the graph must go on.
        bad = asyncio.create_task(world.task("after", BAD))
        good = asyncio.create_task(world.task("after", GOOD))
        appended = world.log.appends[COMMANDS] + 1
        await until(lambda: world.log.appends[COMMANDS] == appended, "both in the log")
        await others_go_on()
        world.graph.gate.open()
        assert (await good)["task"]["id"] == "after"
        with pytest.raises(Unavailable):
            await bad
        assert (await world.ready())["ready"]
        await world.is_fold_of_log(GOOD)


async def test_a_graph_that_is_away_is_no_poison(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        away = [5]

        def refuse(write: GraphWrite) -> None:
            if away[0]:
                away[0] -= 1
                raise Unavailable("graph_unavailable", "not now")

        world.graph.refuse = refuse
        assert (await world.task("b"))["task"]["id"] == "b"
        assert await quarantined(world, "default") is None
        await world.is_fold_of_log()
        assert set(live(await world.in_graph())["Task"]) == {"a", "b"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that had to stop begins again at once."""
    monkeypatch.setattr("agent_orchestration.pipeline.partition.RETRY_SECONDS", (0.0,) * 6)
