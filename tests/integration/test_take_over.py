"""Taking a partition over, from another owner or from oneself: every command has one outcome."""

import asyncio
from pathlib import Path

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.tasks.commands import CancelTask, ClaimTask, CreateTask
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, PARTITIONS
from tests.integration.watched import Gate
from tests.integration.world import World, others_go_on, until, until_async

HOME = partition_of("default", PARTITIONS)


async def test_commands_beyond_the_committed_position_are_not_decided_twice(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        assert (await world.call("claim_task", agent_id="ann"))["reason"] == "no_ready_task"
        with pytest.raises(Rejected):
            await world.agent("ann")
        await world.task("t", idempotency_key="k")
        before = await world.types()
    async with World(tmp_path) as world:
        # As if the owner had died before it told how far it was. Decided again, the claim that
        # found nothing would find the task now.
        await world.ready()
        await world.log.commit(GROUP, COMMANDS, HOME, 0)
        await world.platform.stop()
    async with World(tmp_path) as world:
        await world.settled()
        assert await world.types() == before == ["AgentRegistered", "TaskCreated"]
        await world.is_fold_of_log()
        assert (await world.task("t", idempotency_key="k"))["task"]["status"] == "ready"


async def test_commands_that_nobody_decided_are_decided_once(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        for name in ("b", "c"):
            await world.inject(CreateTask(task_id=name, title=name), f"create-{name}")
        await until(lambda: gate.waiting == 1, "the processor before its append")
    async with World(tmp_path) as world:
        await world.settled()
        assert await world.types() == ["TaskCreated"] * 3
        await world.is_fold_of_log()


async def test_events_that_nobody_folded_are_folded(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        world.graph.gate.close()
        await world.inject(CreateTask(task_id="b", title="b"), "c1", key="k")
        await world.inject(CancelTask(task_id="a"), "c2")
        await until(lambda: world.log.appends[EVENTS] == 2, "events appended")
        await until(lambda: world.graph.gate.waiting == 1, "the projector before its write")
        await world.platform.stop()
    async with World(tmp_path) as world:
        await world.is_fold_of_log()
        assert await world.types() == ["TaskCreated", "TaskCreated", "TaskCancelled"]
        await world.inject(CreateTask(task_id="b", title="b"), "c3", key="k")
        await world.inject(CancelTask(task_id="a"), "c2")
        await world.settled()
        assert len(await world.types()) == 3


async def test_nothing_is_decided_before_the_graph_has_every_event(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("a")
        await world.call("claim_task", agent_id="ann")
    delete_graph(tmp_path)
    world = World(tmp_path)
    world.graph.gate.close()
    async with world:
        # Somebody who decided on the empty graph would register Ann once more.
        again = asyncio.create_task(world.agent("ann"))
        await until(lambda: world.graph.gate.waiting == 1, "the projector at the gate")
        status = await world.platform.status()
        assert not status["ready"]
        assert "catching up" in status["checks"][f"partition-{HOME}"]["detail"]
        assert not again.done()
        world.graph.gate.open()
        with pytest.raises(Rejected, match="exists"):
            await again
        await world.is_fold_of_log()


def delete_graph(folder: Path) -> None:
    for path in folder.glob("graph.kgl*"):
        path.unlink()


async def test_what_one_batch_made_and_ended_stays_known_until_the_graph_has_it(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        world.graph.gate.close()
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        await world.inject(CreateTask(title="first"), "c0")
        await until(lambda: gate.waiting == 1, "the processor before its append")
        await world.inject(CreateTask(task_id="t", title="t"), "c1")
        await world.inject(CancelTask(task_id="t"), "c2")
        gate.open()

        async def cancelled() -> bool:
            return (await world.types())[-1] == "TaskCancelled"

        await until_async(cancelled, "cancelled")
        # The graph has none of it; another creation under the same id would make it live again.
        await world.inject(CreateTask(task_id="t", title="other"), "c3")
        await world.inject(CreateTask(task_id="u", title="u", depends_on=()), "c4")
        world.graph.gate.open()
        await world.settled()
        assert (await world.call("get_task", task_id="t"))["task"]["status"] == "cancelled"
        created = [e for e in await world.events() if e.type == "TaskCreated"]
        assert len(created) == 3
        await world.is_fold_of_log()


async def test_a_decision_that_cannot_be_stored_changes_nothing(tmp_path: Path) -> None:
    """It is evolved in memory before that is found out: the state has to be loaded again, with
    what was decided before and is not in the graph yet."""
    caller = Caller(principal=Principal("p" * 2000, "admin"))
    async with World(tmp_path) as world:
        await world.task("a")
        world.graph.gate.close()
        await world.inject(CreateTask(task_id="before", title="x"), "c1")
        arguments = {"id": "never", "title": "y", "idempotency_key": "k"}
        never = asyncio.create_task(world.platform.call("create_task", arguments, caller))
        await until(lambda: world.log.appends[COMMANDS] == 3, "three commands")
        await world.inject(CreateTask(task_id="before", title="z"), "c2")
        await world.inject(CreateTask(task_id="never", title="z"), "c3")
        await until(lambda: world.graph.gate.waiting == 1, "the projector at the gate")
        await others_go_on()
        world.graph.gate.open()
        with pytest.raises(Rejected, match="receipt_key") as refused:
            await never
        assert refused.value.code == "not_storable"
        await world.settled()
        assert await world.types() == ["TaskCreated"] * 3
        await world.is_fold_of_log()
        tasks = (await world.call("list_tasks"))["tasks"]
        assert [(task["id"], task["title"]) for task in tasks] == [
            ("a", "a"),
            ("before", "x"),
            ("never", "z"),
        ]


async def test_finished_entities_are_found_again(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        for number in range(20):
            await world.task(f"t{number}")
            claimed = await world.call("claim_task", agent_id="ann")
            await world.call("complete_task", task_id=f"t{number}", agent_id="ann", attempt=1)
            assert claimed["task"]["id"] == f"t{number}"
        with pytest.raises(Rejected, match="exists"):
            await world.task("t3")
        assert (await world.task("u", depends_on=["t3"]))["task"]["status"] == "ready"
        await world.call("retire_agent", agent_id="ann")
        await world.agent("bob")
        with pytest.raises(Rejected, match="exists"):
            await world.agent("ann")
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_a_claim_repeated_around_a_crash_holds_one_task(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", max_concurrency=9)
        for name in "abc":
            await world.task(name)
        await world.inject(ClaimTask(agent_id="ann"), "c1")
        await until(lambda: world.log.appends[EVENTS] >= 5, "claimed")
        await world.platform.stop()
    async with World(tmp_path) as world:
        await world.inject(ClaimTask(agent_id="ann"), "c1")
        await world.settled()
        assert (await world.types()).count("TaskClaimed") == 1
