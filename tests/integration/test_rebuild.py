"""The graph compared with what the log says, and repaired while everybody goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import CheckpointMoved, Graph
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Busy, Rejected, Unavailable
from agent_orchestration.core.operations import Fill, Rebuild
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.pipeline import rebuilding
from agent_orchestration.pipeline.partition import Partition
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, GROUP, PARTITIONS
from tests.integration.corruption import corrupt
from tests.integration.test_graph_file import graph_files
from tests.integration.test_zombies import other_process
from tests.integration.world import Clock, World, tenant_on, until, until_async

ENTITIES = tuple(REGISTRY.entities.values())
HOME = partition_of("default", PARTITIONS)


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


async def rebuilt(world: World, *, repair: bool = True) -> dict[str, Any]:
    steps = [step async for step in world.platform.operate(Rebuild(repair))]
    return steps[-1]


async def damage(world: World, statement: str, parameters: Row | None = None) -> None:
    """Change the graph behind the platform's back."""
    world.graph.damage(statement, parameters or {})


async def nothing_invented(graph: Graph) -> None:
    """What engines say of nodes and relationships is none of their properties."""
    for pattern in ("MATCH (n) WHERE n._labels", "MATCH ()-[n]->() WHERE n._type"):
        assert await graph.query(f"{pattern} IS NOT NULL RETURN count(n) AS n", {}) == [{"n": 0}]


# --- nothing to repair ---------------------------------------------------------------------------


async def test_a_graph_that_is_right_is_left_alone(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        for tenant in ("default", "acme"):
            await busy_history(world, tenant)
        await world.settled_everywhere()
        at_work = [check["detail"] for check in (await world.ready())["checks"].values()]
        steps = [step async for step in world.platform.operate(Rebuild())]
        total = sum([len(await world.events(tenant)) for tenant in ("default", "acme")])
        assert steps[-1]["equal"]
        assert steps[-1]["events"] == total
        assert steps[-1]["differences"] == []
        folding = [step["done"] for step in steps if step.get("phase") == "folding"]
        assert folding == sorted(folding)
        assert folding[-1] == total
        now = [check["detail"] for check in (await world.platform.status())["checks"].values()]
        assert now == at_work
        assert not list((tmp_path / "scratch").iterdir())
        await world.is_fold_of_log()


async def test_a_rebuild_of_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.ready()
        assert (await world.rebuilt_equal())["events"] == 0
        await world.task("a")


async def test_what_others_keep_in_the_graph_stays(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.task("a")
        await damage(
            world, "MATCH (t:Task {id: 'a'}) CREATE (n:Note {text: 'x'}) CREATE (n)-[:ON]->(t)"
        )
        await damage(world, "MATCH (t:Task {id: 'a'}), (n:Note) CREATE (t)-[:SEEN_IN]->(n)")
        await world.rebuilt_equal()
        rows = await world.graph.query("MATCH (n:Note)<-[:SEEN_IN]-(t) RETURN t.id AS id", {})
        assert rows == [{"id": "a"}]


# --- repairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_damaged_is_found_and_repaired_exactly(tmp_path: Path, seed: int) -> None:
    async with World(tmp_path, Clock()) as world:
        for tenant in ("default", "acme", "umbrella"):
            await busy_history(world, tenant)
        await world.settled_everywhere()
        before = await world.fingerprint()
        planted = await corrupt(world.graph, lambda s, p: damage(world, s, p), ENTITIES, 50, seed)
        assert await world.fingerprint() != before
        for repair in (False, True):
            found = await rebuilt(world, repair=repair)
            told = {(one["what"], one["label"], one["id"]) for one in found["differences"]}
            assert told == planted
            assert not found["equal"]
            kinds = ("missing", "extra", "changed", "relationship")
            assert sum(found[kind] for kind in kinds) == 50
        assert await world.fingerprint() == before
        await nothing_invented(world.graph)
        await world.rebuilt_equal()
        for tenant in ("default", "acme", "umbrella"):
            await world.is_fold_of_log(tenant)


async def test_comparing_alone_changes_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.task("a")
        await damage(world, "MATCH (t:Task {id: 'a'}) SET t.title = 'b'")
        damaged = await world.fingerprint()
        found = await rebuilt(world, repair=False)
        assert found["differences"] == [
            {"what": "changed", "label": "Task", "id": "a", "properties": ("title",)}
        ]
        assert not found["equal"]
        assert await world.fingerprint() == damaged


async def test_what_was_loaded_from_a_damaged_graph_is_loaded_anew(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.agent("ann")
        await world.task("a")
        await world.settled()
        await damage(world, "MATCH (t:Task {id: 'a'}) SET t.status = 'cancelled'")
    async with World(tmp_path, Clock()) as world:
        assert "task" not in await world.call("claim_task", agent_id="ann")
        assert (await rebuilt(world))["changed"] == 1
        assert (await world.call("claim_task", agent_id="ann"))["task"]["id"] == "a"
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_the_owner_in_another_process_loads_anew(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.task("a")
        await world.log.leave(GROUP)
        await damage(world, "MATCH (t:Task {id: 'a'}) SET t.title = 'b'")
        other = Partition(other_process(world, clock), HOME, print)
        other.start()
        assert await other.caught_up(20)
        before = other.projector
        assert before is not None
        position = before.position
        assert (await rebuilt(world))["changed"] == 1
        await world.inject(CancelTask(task_id="a"), "c1")
        await until(lambda: other.projector not in {None, before}, "it began anew")

        async def folded() -> bool:
            return await world.graph.position(HOME) == (position[0], position[1] + 1)

        await until_async(folded, "it went on")
        await other.stop()
        assert other.failure is None
        assert (await world.events())[-1].type == "TaskCancelled"
        assert (await rebuilt(world, repair=False))["equal"]


async def test_an_owner_that_comes_between_two_repairs_puts_no_damage_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.partition.RETRY_SECONDS", (0.0,) * 6)
    first, second = tenant_on(0, 0), tenant_on(0, 1)
    async with World(tmp_path, Clock()) as world:
        for tenant in (first, second):
            for name in "ab":
                await world.task(name, tenant)
        await world.settled(first)
        await damage(world, "MATCH (t:Task) WHERE t.title = 'a' SET t.title = 'damaged'")
        steps: Any = world.platform.operate(Rebuild())
        async for step in steps:
            if step == {"phase": "repairing", "done": 1, "total": 2}:
                # Everybody comes by and loads the second tenant, damaged.
                for tenant in (first, second):
                    await world.task("c", tenant)
        await world.task("d", second)
        await world.call("cancel_task", second, task_id="a")
        for tenant in (first, second):
            await world.is_fold_of_log(tenant)
        await world.rebuilt_equal()


async def test_repairs_that_pile_up_before_the_owner_comes_are_no_difference(
    tmp_path: Path,
) -> None:
    clock = Clock()
    tenants = [tenant_on(0, number) for number in range(5)]
    async with World(tmp_path, clock) as world:
        for name in "abc":
            for tenant in tenants:
                await world.task(name, tenant)
        await world.settled(tenants[0])
        await world.log.leave(GROUP)
        before = await world.fingerprint()
        _, end = await world.log.bounds(EVENTS, 0)
        for _ in range(3):
            await damage(world, "MATCH (t:Task) WHERE t.title = 'a' SET t.title = 'damaged'")
            assert (await rebuilt(world))["changed"] == 5
            assert await world.fingerprint() == before
            assert (await rebuilt(world, repair=False))["equal"]
        position = await world.graph.position(0)
        assert position is not None
        assert position[1] < end - 5
    async with World(tmp_path, clock) as world:
        await world.task("d", tenants[0])
        assert (await rebuilt(world, repair=False))["equal"]


async def test_repairs_while_everybody_works(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        over = asyncio.Event()
        created: list[str] = []

        async def client(name: str) -> None:
            number = 0
            while not over.is_set():
                number += 1
                answer = await world.task(f"{name}-{number}", idempotency_key=f"k{number}{name}")
                created.append(answer["task"]["id"])
                assert (await world.call("list_tasks", limit=5))["tasks"]

        clients = [asyncio.create_task(client(f"x{n}")) for n in range(3)]
        for n in range(5):
            await damage(world, f"MATCH (t:Task {{id: 'b{n}'}}) SET t.title = 'damaged'")
            await damage(world, f"MATCH (t:Task {{id: 'c{n}'}}) DETACH DELETE t")
            found = await rebuilt(world)
            assert (found["changed"], found["missing"]) == (1, 1)
            count = len(created)
            await until(lambda count=count: len(created) > count + 3, "work goes on")
        over.set()
        await asyncio.gather(*clients)
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        assert len(set(created)) == len(created)


async def test_a_partition_that_never_stands_still_is_said_to_be_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "TRIES", 3)
    async with World(tmp_path, Clock()) as world:
        await world.task("a")
        await damage(world, "MATCH (t:Task {id: 'a'}) SET t.title = 'b'")

        def moves(_: object) -> None:
            raise CheckpointMoved("checkpoint_moved", "always")

        world.graph.refuse = moves
        with pytest.raises(Busy, match="never stood still"):
            await rebuilt(world)
        world.graph.refuse = lambda _: None
        assert (await rebuilt(world))["changed"] == 1


# --- filling and going on ------------------------------------------------------------------------


async def test_an_interrupted_rebuild_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        total = len(await world.events())
        monkeypatch.setattr("agent_orchestration.pipeline.projector.BATCH", 20)
        steps: Any = world.platform.operate(Rebuild())
        assert await anext(steps) == {"phase": "folding", "done": 20, "total": total}
        assert await anext(steps) == {"phase": "folding", "done": 40, "total": total}
        await steps.aclose()
        again = [step async for step in world.platform.operate(Rebuild())]
        folded = [step["done"] for step in again if step.get("phase") == "folding"]
        assert folded[:2] == [40, min(60, total)], "the first 40 are not folded again"
        assert folded[-1] == total
        assert again[-1]["equal"]


async def test_two_rebuilds_do_not_meet(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        steps: Any = world.platform.operate(Rebuild())
        await anext(steps)
        with pytest.raises(Busy, match="under way"):
            await world.rebuilt_equal()
        await steps.aclose()
        await world.rebuilt_equal()


async def test_an_empty_graph_is_filled_by_its_owner(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        await world.settled()
        before = await world.fingerprint()
    for file in graph_files(tmp_path):
        file.unlink()
    async with World(tmp_path, Clock()) as world:
        world.graph.gate.close()
        rebuild = asyncio.create_task(world.rebuilt_equal())
        await until(lambda: world.graph.gate.waiting == 1, "the owner at the gate")
        world.graph.gate.open()
        await rebuild
        assert await world.fingerprint() == before


async def test_filling_another_server_needs_its_address_and_password(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        with pytest.raises(Rejected, match="NEO4J_PASSWORD"):
            await anext(world.platform.operate(Fill("bolt://localhost:1")))


async def test_a_waiting_claim_outlives_a_repair(tmp_path: Path) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.agent("ann")
        claim = asyncio.create_task(world.call("claim_task", agent_id="ann", wait_seconds=30))
        await until(lambda: world.log.appends["commands"] == 2, "claimed")
        await world.settled()
        await damage(world, "MATCH (t:Agent {id: 'ann'}) SET t.name = 'b'")
        assert (await rebuilt(world))["changed"] == 1

        async def created() -> bool:
            try:
                await world.task("t")
            except Unavailable:
                return False
            return True

        await until_async(created, "a task")
        assert (await claim)["task"]["id"] == "t"
