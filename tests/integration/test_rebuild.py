"""The graph dropped and folded again from the log is the same graph."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.errors import PlatformError, Unavailable
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.domain.tasks.commands import CreateTask
from tests.integration.world import World, until, until_async


async def busy_history(world: World, tenant: str, rounds: int = 10) -> None:
    """Something of everything."""
    await world.agent("ann", tenant, capabilities=[{"name": "python", "level": 0.7}])
    await world.agent("bob", tenant, max_concurrency=3, labels={"team": "b"})
    for n in range(rounds):
        await world.task(
            f"a{n}", tenant, payload={"n": n, "deep": [{"x": None}]}, priority=1 + n % 5
        )
        await world.task(f"b{n}", tenant, depends_on=[{"task_id": f"a{n}", "on_failure": "cancel"}])
        await world.task(f"c{n}", tenant, requires=[{"capability": "python", "level": 0.5}])
        for agent in ("ann", "bob"):
            claim = await world.call("claim_task", tenant, agent_id=agent)
            if "task" not in claim:
                continue
            held = {
                "task_id": claim["task"]["id"],
                "agent_id": agent,
                "attempt": claim["attempt"],
            }
            if n % 3 == 0:
                await world.call("fail_task", tenant, **held, error="no", retryable=n % 2 == 0)
            elif n % 3 == 1:
                await world.call("report_progress", tenant, **held, progress={"half": True})
                await world.call("complete_task", tenant, **held, result=[n])
    await world.call("cancel_task", tenant, task_id="a9")
    await world.call("update_agent", tenant, agent_id="ann", capabilities=[{"name": "go"}])
    await world.call("retire_agent", tenant, agent_id="bob", force=True)


async def test_a_rebuilt_graph_is_the_same(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for tenant in ("default", "acme"):
            await busy_history(world, tenant)
        steps = [step async for step in world.platform.operate(Rebuild())]
        total = sum([len(await world.events(tenant)) for tenant in ("default", "acme")])
        assert steps[-1]["equal"]
        assert steps[-1]["events"] == total
        assert [step["done"] for step in steps[:-1]] == sorted(step["done"] for step in steps[:-1])
        assert steps[-2] == {"done": total, "total": total}
        for tenant in ("default", "acme"):
            await world.is_fold_of_log(tenant)


async def test_a_rebuild_of_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.ready()
        assert (await world.rebuilt_equal())["events"] == 0
        await world.task("a")


async def test_a_rebuild_takes_in_what_was_not_folded_before(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        world.graph.gate.close()
        await world.inject(CreateTask(task_id="b", title="b"), "c1")
        await until(lambda: world.graph.gate.waiting == 1, "the projector at the gate")
        world.graph.gate.open()
        assert (await world.rebuilt_equal())["events"] == 2
        await world.is_fold_of_log()


async def test_calls_during_a_rebuild_are_answered_or_unavailable(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        created: set[str] = set()
        refused: list[PlatformError] = []
        over = asyncio.Event()

        async def client(name: str) -> None:
            number = 0
            while not over.is_set():
                number += 1
                try:
                    answer = await world.task(
                        f"{name}-{number}", idempotency_key=f"k{number}{name}"
                    )
                    created.add(answer["task"]["id"])
                except Unavailable as error:
                    refused.append(error)
                    await asyncio.sleep(0)

        clients = [asyncio.create_task(client(f"x{n}")) for n in range(5)]
        for _ in range(5):
            await world.rebuilt_equal()
            await world.ready()
            before = len(created)
            await until(lambda before=before: len(created) > before, "work goes on")
        over.set()
        await asyncio.gather(*clients)
        made = [e for e in await world.events() if e.type == "TaskCreated"]
        replies = [world.platform.registry.decode_event(e.type, 1, e.body).reply() for e in made]
        assert created <= {reply["task_id"] for reply in replies}
        await world.is_fold_of_log()
        assert {error.code for error in refused} <= {"rebuilding"}
        for name in sorted(created)[:20]:
            assert (await world.call("get_task", task_id=name))["task"]["id"] == name


async def test_nobody_reads_half_a_graph(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        count = len((await world.call("list_tasks", limit=200))["tasks"])
        world.graph.gate.close()
        rebuild = asyncio.create_task(world.rebuilt_equal())
        await until(lambda: world.graph.gate.waiting == 1, "the rebuild at the gate")
        assert not (await world.platform.status())["ready"]
        with pytest.raises(Unavailable, match="rebuilt"):
            await world.call("list_tasks")
        world.graph.gate.open()
        await rebuild
        assert len((await world.call("list_tasks", limit=200))["tasks"]) == count


async def test_two_rebuilds_do_not_meet(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        world.graph.gate.close()
        first = asyncio.create_task(world.rebuilt_equal())
        await until(lambda: world.graph.gate.waiting == 1, "the rebuild at the gate")
        with pytest.raises(Unavailable, match="rebuilt"):
            await world.rebuilt_equal()
        world.graph.gate.open()
        await first
        await world.is_fold_of_log()


async def test_an_abandoned_rebuild_is_finished_by_the_projector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.projector.BATCH", 5)
    monkeypatch.setattr("agent_orchestration.pipeline.gateway.CATCH_UP_SECONDS", 0.01)
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        before = await world.fingerprint()
        steps: Any = world.platform.operate(Rebuild())
        assert (await anext(steps))["done"] == 5
        world.graph.gate.close()
        await steps.aclose()
        meanwhile = await world.call("list_agents")
        assert meanwhile["stale"]
        assert (await world.call("get_agent", agent_id="ann"))["seq"] == 5
        world.graph.gate.open()
        await world.settled()
        assert await world.fingerprint() == before
        await world.task("later")


async def test_a_waiting_claim_outlives_a_rebuild(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        claim = asyncio.create_task(world.call("claim_task", agent_id="ann", wait_seconds=30))
        await until(lambda: world.log.appends["commands"] == 2, "claimed")
        await world.settled()
        await world.rebuilt_equal()

        async def created() -> bool:
            try:
                await world.task("t")
            except Unavailable:
                return False
            return True

        await until_async(created, "a task")
        assert (await claim)["task"]["id"] == "t"
