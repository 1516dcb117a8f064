"""Where going on would be wrong, a partition stops and says why; the others go on."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph.read_errors import too_slow
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.entities import Row
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import DEAD_LETTERS, EVENTS, PARTITIONS
from tests.integration.watched import Gate, WatchedGraph
from tests.integration.world import World, tenant_on, until, until_async

HOME = partition_of("default", PARTITIONS)
ELSEWHERE = tenant_on((HOME + 1) % PARTITIONS)

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another event in a place taken": ({"seq": 2, "at": 1}, "two different events"),
    "a gap": ({"seq": 9}, "follows"),
    "another predecessor": ({"seq": 3, "prev": "f" * 32}, "another predecessor"),
    "an unknown type": ({"seq": 3, "type": "TaskEaten"}, "not known here"),
    "a newer version": ({"seq": 3, "version": 99}, "not known here"),
    "newer rules": ({"seq": 3, "rules": 99}, "this program knows"),
    "older rules": ({"seq": 3, "rules": 1}, "was decided under rules 1"),
    "an unreadable body": ({"seq": 3, "body": b"{"}, "event TaskCreated"),
}


async def stopped(world: World) -> str:
    """Wait until the default tenant's partition stopped; answers why."""
    detail: list[str] = []

    async def has_stopped() -> bool:
        check = (await world.platform.status())["checks"][f"partition-{HOME}"]
        detail[:] = [check["detail"]]
        return not check["ok"] and not check["detail"].startswith(("catching up", "starting"))

    await until_async(has_stopped, "stopped")
    return detail[0]


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_event_stops_its_partition(tmp_path: Path, name: str) -> None:
    changes, reason = WRONG[name]
    async with World(tmp_path) as world:
        for task in ("a", "b"):
            await world.task(task)
        last = (await world.events())[-1]
        right: EventEnvelope = msgspec.structs.replace(last, seq=3, prev=last.digest)
        wrong = msgspec.structs.replace(right, **changes)
        await world.log.append(EVENTS, HOME, [wrong.to_record()])
        assert reason in await stopped(world)
        assert not (await world.platform.status())["ready"]
        with pytest.raises(Unavailable) as refused:
            await world.task("c")
        assert refused.value.code == "partition_stopped"
        assert reason in refused.value.reason
        assert await world.records(DEAD_LETTERS) == []
        assert (await world.call("get_task", task_id="b"))["task"]["id"] == "b"
        await world.task("c", ELSEWHERE)
    async with World(tmp_path) as world:
        if name != "another event in a place taken":
            assert reason in await stopped(world)


async def test_the_same_event_again_is_harmless(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for task in ("a", "b"):
            await world.task(task)
        again = [envelope.to_record() for envelope in await world.events()]
        await world.log.append(EVENTS, HOME, again)
        await world.settled()
        assert (await world.task("c"))["seq"] == 3
        await world.rebuilt_equal()


async def test_a_graph_that_is_slow_for_a_while_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of time on questions are for callers; the pipeline asks again."""
    monkeypatch.setattr("agent_orchestration.pipeline.partition.RETRY_SECONDS", (0.0,) * 6)
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("a", idempotency_key="k")
    slow = [40]
    original = WatchedGraph.query

    async def query(
        graph: WatchedGraph, statement: str, parameters: Mapping[str, Any], **more: Any
    ) -> list[Row]:
        if slow[0]:
            slow[0] -= 1
            raise Rejected("query_too_slow", "query: it took longer than 5 s", field="query")
        return await original(graph, statement, parameters, **more)

    monkeypatch.setattr(WatchedGraph, "query", query)
    async with World(tmp_path) as world:
        await until_async(lambda: no_longer(slow), "slow no more")
        await world.ready()
        assert (await world.task("a", idempotency_key="k"))["task"]["id"] == "a"
        await world.is_fold_of_log()


async def no_longer(slow: list[int]) -> bool:
    return slow[0] == 0


async def test_what_was_accepted_is_not_refused_because_the_graph_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {query.statement for query in REGISTRY.queries.values()}
    original = WatchedGraph.query

    async def query(
        graph: WatchedGraph, statement: str, parameters: Mapping[str, Any], **more: Any
    ) -> list[Row]:
        if statement in named:
            raise too_slow(10)
        return await original(graph, statement, parameters, **more)

    async with World(tmp_path) as world:
        with monkeypatch.context() as slow:
            slow.setattr(WatchedGraph, "query", query)
            with pytest.raises(Unavailable, match="accepted as event 1, and the graph did not"):
                await world.task("a", idempotency_key="k")
            with pytest.raises(Rejected, match="longer than 10 s"):
                await world.call("get_task", task_id="a")
        assert (await world.task("a", idempotency_key="k"))["seq"] == 1


async def test_a_call_under_way_is_told_that_the_partition_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.command_bus.PATIENCE_SECONDS", (0.1, 10.0))
    async with World(tmp_path) as world:
        await world.task("a")
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        call = asyncio.create_task(world.task("b"))
        await until(lambda: gate.waiting == 1, "the command under way")
        [last] = await world.events()
        wrong = msgspec.structs.replace(last, seq=9)
        await SqliteLog.append(world.log, EVENTS, HOME, [wrong.to_record()])
        assert "follows" in await stopped(world)
        with pytest.raises(Unavailable) as refused:
            await call
        assert refused.value.code == "partition_stopped"
