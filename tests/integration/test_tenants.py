"""Tenants share the pipeline and nothing else; feeds are views of the events."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, NotFound, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, PARTITIONS
from tests.integration.world import World

TENANTS = ("default", *(f"tenant-{n}" for n in range(9)))
TOOLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_tasks", {}),
    ("list_agents", {}),
    ("get_task", {"task_id": "second"}),
    ("explain_task", {"task_id": "second"}),
    ("get_agent", {"agent_id": "ann"}),
    ("find_agents", {"capabilities": [{"name": "python", "level": 0.5}]}),
    ("list_capabilities", {}),
    ("get_history", {}),
    ("get_history", {"task_id": "second"}),
    ("get_overview", {}),
    ("wait_for_tasks", {"ids": ["first"], "seconds": 0}),
    ("run_named_query", {"name": "agent_load"}),
    ("run_named_query", {"name": "longest_running"}),
    ("run_named_query", {"name": "unfinished_dependencies", "params": {"ids": ["second"]}}),
    ("run_named_query", {"name": "blocking_tasks"}),
    ("heartbeat", {"agent_id": "ann", "leases": [{"task_id": "first", "attempt": 1}]}),
)


async def story(world: World, tenant: str) -> None:
    """The same in every tenant, under the same ids."""
    await world.agent("ann", tenant, capabilities=[{"name": "python"}])
    await world.task("first", tenant, requires=[{"capability": "python", "level": 0.5}])
    await world.task("second", tenant, depends_on=["first"])
    await world.call("claim_task", tenant, agent_id="ann")


async def test_tenants_on_all_partitions_have_their_own_history(tmp_path: Path) -> None:
    assert {partition_of(tenant, PARTITIONS) for tenant in TENANTS} == set(range(PARTITIONS))
    async with World(tmp_path) as world:
        await asyncio.gather(*(story(world, tenant) for tenant in TENANTS))
        for tenant in TENANTS:
            assert [e.seq for e in await world.events(tenant)] == [1, 2, 3, 4]
            await world.is_fold_of_log(tenant)
        for number in range(PARTITIONS):
            its = [t for t in TENANTS if partition_of(t, PARTITIONS) == number]
            assert len(await world.records(EVENTS, number)) == 4 * len(its)
        await world.rebuilt_equal()


@pytest.mark.parametrize(("tool", "arguments"), TOOLS, ids=lambda value: str(value)[:40])
async def test_another_tenant_sees_its_own_under_bare_ids(
    tmp_path: Path, tool: str, arguments: dict[str, object]
) -> None:
    async with World(tmp_path) as world:
        for tenant in ("default", "acme"):
            await story(world, tenant)
        await world.task("only-here")
        await world.agent("bob")
        answer = await world.call(tool, "acme", **arguments)
        assert "acme" not in str(answer)
        assert "only-here" not in str(answer)
        assert "bob" not in str(answer)
        assert answer


async def test_nobody_reaches_into_another_tenant(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("mine", "acme")
        await world.agent("ann")
        with pytest.raises(NotFound):
            await world.call("get_task", task_id="mine")
        for guess in ("acme/mine", "../acme/mine"):
            with pytest.raises((NotFound, Rejected)):
                await world.call("get_task", task_id=guess)
            with pytest.raises((NotFound, Rejected)):
                await world.call("cancel_task", task_id=guess)
        assert (await world.call("claim_task", agent_id="ann"))["reason"] == "no_ready_task"
        assert (await world.call("list_tasks"))["tasks"] == []


async def test_a_tenant_reads_the_graph_by_named_questions_only(tmp_path: Path) -> None:
    query = {"query": "MATCH (n:Task) RETURN n.id AS id"}
    async with World(tmp_path) as world:
        await story(world, "acme")
        with pytest.raises(Forbidden):
            await world.call("read_cypher", "acme", **query)
        rows = (await world.call("read_cypher", **query))["rows"]
        assert {row["id"] for row in rows} == {"acme/first", "acme/second"}


async def test_an_agent_acts_for_itself_only(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob"):
            await world.agent(name)
        caller = Caller(principal=Principal("key-1", "agent", "ann"))
        await world.platform.call("claim_task", {"agent_id": "ann"}, caller)
        with pytest.raises(Forbidden):
            await world.platform.call("claim_task", {"agent_id": "bob"}, caller)
        with pytest.raises(Forbidden):
            await world.platform.call("create_task", {"title": "x"}, caller)


async def test_feeds_are_views_of_the_events(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for tenant in ("default", "acme"):
            await story(world, tenant)
        every = await world.records(EVENTS)
        tasks, agents = await world.records("task_events"), await world.records("agent_events")
        assert [r.headers["ce_type"] for r in agents] == ["AgentRegistered"] * 2
        assert {r.headers["ce_type"] for r in tasks} == {"TaskCreated", "TaskClaimed"}
        places = {(r.partition, r.offset): (r.headers["ce_id"], r.value) for r in every}
        assert len(places) == len(tasks) + len(agents)
        for record in (*tasks, *agents):
            place = (record.partition, record.offset)
            assert places[place] == (record.headers["ce_id"], record.value)


async def test_records_are_cloud_events(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await story(world, "acme")
        for topic in (COMMANDS, EVENTS):
            for record in await world.records(topic):
                headers = record.headers
                assert headers["ce_specversion"] == "1.0"
                assert headers["ce_tenant"].encode() == record.key
                assert {"ce_id", "ce_source", "ce_type", "content-type"} <= headers.keys()
        causes = [r.headers["ce_id"] for r in await world.records(COMMANDS)]
        assert [e.command_id for e in await world.events("acme")] == causes
