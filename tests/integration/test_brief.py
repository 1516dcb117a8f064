"""Brief answers ask nothing of the graph, and nobody is deceived by them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.world import World, until

REQUIRES = [{"capability": "weld", "level": 0.5}, {"capability": "cut"}]
DONE = {"agent_id": "ann", "attempt": 1}


async def claimed(world: World, **more: Any) -> Any:
    return await world.call("claim_task", agent_id="ann", **more)


async def prepared(world: World) -> None:
    """A task with everything that a task can have, which Ann can claim."""
    skills = [{"name": "weld", "level": 1.0}, {"name": "cut"}]
    await world.agent("ann", capabilities=skills, max_concurrency=10)
    await world.call("form_team", id="crew", goal="Weld", members=[{"agent_id": "ann"}])
    await world.task("before", priority=1)
    await world.task(
        "t",
        description="all of it",
        requires=REQUIRES,
        depends_on=[{"task_id": "before", "on_failure": "continue"}],
        payload={"n": [1, 2]},
        labels={"b": "2", "a": "1"},
        agent_id="ann",
        team_id="crew",
        retry={"max_attempts": 3},
    )
    await world.task("after", depends_on=["t"])
    await claimed(world)
    await world.call("complete_task", task_id="before", **DONE)


async def test_a_brief_claim_answers_what_the_graph_says_of_the_task_itself(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await prepared(world)
        claim = await claimed(world, brief=True)
        stored = await world.call("get_task", task_id="t")
        whole = stored["task"]
        assert whole.pop("dependent_ids") == ["after"]
        assert [one.pop("status") for one in whole["depends_on"]] == ["completed"]
        assert claim["task"] == whole
        assert (claim["attempt"], claim["seq"]) == (1, stored["seq"])
        assert claim["lease_until"] == whole["lease_until"]


async def test_a_brief_claim_that_is_repeated_after_a_restart_is_answered_from_the_graph(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await prepared(world)
        claim = await claimed(world, brief=True, idempotency_key="k")
    async with World(tmp_path) as world:
        again = await claimed(world, brief=True, idempotency_key="k")
        assert again["task"].pop("dependent_ids") == ["after"]
        assert [one.pop("status") for one in again["task"]["depends_on"]] == ["completed"]
        assert again == claim


async def test_a_brief_claim_waits_until_what_the_task_depends_on_can_be_read(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await prepared(world)
        world.graph.gate.close()
        claim = asyncio.create_task(claimed(world, brief=True))
        await until(lambda: world.graph.gate.waiting > 0, "the projector at the gate")
        assert not claim.done()
        world.graph.gate.open()
        assert "stale" not in await claim


@pytest.mark.parametrize(
    ("tool", "more", "shown"),
    [
        ("report_progress", {"progress": 0.5}, {"status": "running", "progress": 0.5}),
        ("complete_task", {"result": {"x": 1}}, {"status": "completed", "result": {"x": 1}}),
        ("fail_task", {"error": "no", "retryable": False}, {"status": "failed", "error": "no"}),
    ],
)
async def test_a_brief_report_does_not_wait_for_the_graph_and_whoever_asks_does(
    tmp_path: Path, tool: str, more: dict[str, Any], shown: dict[str, Any]
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("t")
        seq = (await claimed(world))["seq"]
        world.graph.gate.close()
        report = await world.call(tool, task_id="t", brief=True, **DONE, **more)
        assert report["seq"] == seq + 1
        assert "task" not in report
        asked = asyncio.create_task(world.call("get_task", task_id="t"))
        await until(lambda: world.graph.gate.waiting > 0, "the projector at the gate")
        assert not asked.done()
        world.graph.gate.open()
        answer = await asked
        assert shown.items() <= answer["task"].items()
        assert "stale" not in answer


async def test_cypher_that_has_to_wait_for_a_brief_report_too_long_says_that_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.gateway.PROMISE_SECONDS", 0.05)
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("t")
        await claimed(world)
        world.graph.gate.close()
        await world.call("complete_task", task_id="t", brief=True, **DONE)
        query = "MATCH (t:Task {id: 't'}) RETURN t.status AS status"
        answer = await world.call("read_cypher", query=query)
        assert (answer["rows"], answer["stale"]) == ([{"status": "running"}], True)
        world.graph.gate.open()
        await world.settled()
        answer = await world.call("read_cypher", query=query)
        assert answer["rows"] == [{"status": "completed"}]
        assert "stale" not in answer
