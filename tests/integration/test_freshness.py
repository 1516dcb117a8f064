"""Whoever was told a `seq` reads at least that; where the graph cannot keep up it says so."""

import asyncio
from pathlib import Path

import pytest

from agent_orchestration.core.errors import Unavailable
from tests.integration.world import World, until


async def test_a_read_after_a_write_sees_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for number in range(50):
            answer = await world.task(f"t{number}")
            assert answer["seq"] == number + 1
            assert answer["task"]["id"] == f"t{number}"
            assert "stale" not in answer


async def test_many_writers_read_their_own_writes(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        calls = [world.call("create_task", id=f"t{n}", title=f"title {n}") for n in range(200)]
        answers = await asyncio.gather(*calls)
        told = [answer["seq"] for answer in answers]
        made = {e.seq: e.command_id for e in await world.events()}
        assert max(told) == len(made) == 200
        assert {(a["task"]["id"], a["task"]["title"]) for a in answers} == {
            (f"t{n}", f"title {n}") for n in range(200)
        }


async def test_a_read_waits_for_the_graph(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("t")
        world.graph.gate.close()
        call = asyncio.create_task(world.call("cancel_task", task_id="t"))
        await until(lambda: world.graph.gate.waiting > 0, "the projector at the gate")
        assert await world.types() == ["TaskCreated", "TaskCancelled"]
        assert not call.done()
        world.graph.gate.open()
        answer = await call
        assert answer["task"]["status"] == "cancelled"
        assert "stale" not in answer


async def test_an_answer_behind_the_write_says_that_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.gateway.CATCH_UP_SECONDS", 0.05)
    async with World(tmp_path) as world:
        await world.task("t")
        world.graph.gate.close()
        answer = await world.call("cancel_task", task_id="t", reason="no")
        assert answer["stale"] is True
        assert answer["task"]["status"] == "ready"
        world.graph.gate.open()
        await world.settled()
        answer = await world.call("get_task", task_id="t")
        assert answer["task"]["status"] == "cancelled"
        assert "stale" not in answer


async def test_an_accepted_creation_is_never_answered_as_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.gateway.CATCH_UP_SECONDS", 0.05)
    async with World(tmp_path) as world:
        await world.ready()
        world.graph.gate.close()
        with pytest.raises(Unavailable):
            await world.task("t", idempotency_key="k")
        with pytest.raises(Unavailable):
            await world.agent("a")
        world.graph.gate.open()
        again = await world.task("t", idempotency_key="k")
        assert again["task"]["id"] == "t"
        assert await world.types() == ["TaskCreated", "AgentRegistered"]
