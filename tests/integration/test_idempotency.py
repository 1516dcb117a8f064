"""A command carried out twice is carried out once, whoever repeats it and when."""

import asyncio
from pathlib import Path

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.tasks.commands import ClaimTask, CreateTask
from tests.integration.world import Clock, World

HOUR = 3600


async def test_the_same_key_at_the_same_time_is_one_event(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        calls = [world.call("create_task", title="one", idempotency_key="k") for _ in range(20)]
        answers = await asyncio.gather(*calls)
        assert len({answer["task"]["id"] for answer in answers}) == 1
        assert await world.types() == ["TaskCreated"]


async def test_the_same_key_later_and_after_a_restart_gets_the_first_answer(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        first = await world.call("create_task", title="one", idempotency_key="k")
        assert await world.call("create_task", title="one", idempotency_key="k") == first
    async with World(tmp_path) as world:
        assert await world.call("create_task", title="one", idempotency_key="k") == first
        assert await world.types() == ["TaskCreated"]


async def test_another_request_under_the_key_is_a_conflict(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.call("create_task", title="one", idempotency_key="k")
        with pytest.raises(Conflict, match="idempotency_key"):
            await world.call("create_task", title="two", idempotency_key="k")
    async with World(tmp_path) as world:
        with pytest.raises(Conflict):
            await world.call("create_task", title="two", idempotency_key="k")
        assert await world.types() == ["TaskCreated"]


async def test_a_key_counts_for_one_principal_tool_and_tenant(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        arguments = {"title": "one", "idempotency_key": "k"}
        for caller in (
            Caller(),
            Caller(principal=Principal("other", "admin")),
            Caller(tenant="acme"),
        ):
            await world.platform.call("create_task", arguments, caller)
        await world.agent("ann", idempotency_key="k")
        assert await world.types() == ["TaskCreated", "TaskCreated", "AgentRegistered"]
        assert await world.types("acme") == ["TaskCreated"]


async def test_a_key_counts_for_a_day(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        first = await world.call("create_task", title="one", idempotency_key="k")
        clock.pass_seconds(23 * HOUR)
        # The receipt has left memory by now and is found in the graph.
        await world.call("create_task", title="other")
        again = await world.call("create_task", title="one", idempotency_key="k")
        assert again["task"]["id"] == first["task"]["id"]
        clock.pass_seconds(HOUR)
        anew = await world.call("create_task", title="one", idempotency_key="k")
        assert anew["task"]["id"] != first["task"]["id"]
        again = await world.call("create_task", title="one", idempotency_key="k")
        assert again["task"]["id"] == anew["task"]["id"]


async def test_a_rejected_call_is_decided_again(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        claim = {"agent_id": "ann", "idempotency_key": "k"}
        with pytest.raises(Exception, match="no agent ann"):
            await world.call("claim_task", **claim)
        await world.agent("ann")
        assert (await world.call("claim_task", **claim))["reason"] == "no_ready_task"
        await world.task("t")
        assert (await world.call("claim_task", **claim))["attempt"] == 1


async def test_a_command_id_sent_again_without_a_key_is_one_event(tmp_path: Path) -> None:
    command = CreateTask(title="one")
    async with World(tmp_path) as world:
        for _ in range(3):
            await world.inject(command, "c1")
        await world.settled()
        await world.inject(command, "c1")
        await world.settled()
        assert await world.types() == ["TaskCreated"]
    async with World(tmp_path) as world:
        await world.inject(command, "c1")
        await world.settled()
        assert await world.types() == ["TaskCreated"]


async def test_a_repeated_claim_answers_the_same_attempt(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", max_concurrency=5)
        for name in ("a", "b"):
            await world.task(name)
        calls = [world.call("claim_task", agent_id="ann", idempotency_key="k") for _ in range(5)]
        answers = await asyncio.gather(*calls)
        held = {(answer["task"]["id"], answer["attempt"]) for answer in answers}
        assert held == {("a", 1)}
    async with World(tmp_path) as world:
        again = await world.call("claim_task", agent_id="ann", idempotency_key="k")
        assert (again["task"]["id"], again["attempt"]) == ("a", 1)
        await world.inject(ClaimTask(agent_id="ann"), "c2")
        await world.inject(ClaimTask(agent_id="ann"), "c2")
        await world.settled()
        assert (await world.types()).count("TaskClaimed") == 2
        assert (await world.call("get_agent", agent_id="ann"))["agent"]["active"] == 2


@pytest.mark.parametrize("make", ["agent", "task"])
async def test_an_id_can_be_taken_once(tmp_path: Path, make: str) -> None:
    async with World(tmp_path) as world:
        calls = [world.agent("x") if make == "agent" else world.task("x") for _ in range(10)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(answer, Rejected) for answer in answers) == 9
        assert len(await world.types()) == 1


async def test_a_command_that_comes_again_after_its_id_was_forgotten_creates_nothing_twice(
    tmp_path: Path,
) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        for _ in range(2):
            await world.inject(CreateTask(title="one"), "command-1")
            await world.settled()
            # Finished, it leaves memory.
            await world.call("cancel_task", task_id="task-command1")
            await world.task("another", idempotency_key="k")
            clock.pass_seconds(HOUR)
        assert await world.types() == ["TaskCreated", "TaskCancelled", "TaskCreated"]
        await world.is_fold_of_log()
