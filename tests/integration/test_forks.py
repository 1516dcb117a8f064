"""A log with two different events of one `seq`: who owns it stops, a rebuild decides."""

import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.core.operations import Backup, Verify
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.scratch import Scratch, ends_of
from agent_orchestration.pipeline.topology import COMMANDS, PARTITIONS
from tests.integration.forked import History, append, branch, forked
from tests.integration.test_backups import KeepingWorld
from tests.integration.test_graph_file import graph_files
from tests.integration.test_rebuild import rebuilt
from tests.integration.test_zombies import other_process
from tests.integration.world import Clock, World, live, tenant_on, until_async
from tests.unit.domain import replay

TENANTS = (tenant_on(0, 0), tenant_on(0, 1), tenant_on(1, 0))


@asynccontextmanager
async def idle(folder: Path) -> AsyncGenerator[World]:
    """A log and a graph that nobody works on."""
    world = World(folder, Clock())
    await world.log.start()
    await world.graph.start()
    try:
        yield world
    finally:
        await world.graph.stop()
        await world.log.stop()


async def folded(world: World) -> Scratch:
    """The log's events, in its graph."""
    scratch = Scratch(other_process(world, Clock()), world.graph)
    async for _ in scratch.fold_all(await ends_of(world.log), "folding"):
        pass
    return scratch


@pytest.mark.parametrize("seed", range(12))
async def test_the_fold_of_a_forked_log_is_that_of_the_longest_branches(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("agent_orchestration.pipeline.projector.BATCH", chance.choice([1, 3, 1000]))
    histories: dict[str, History] = {}
    logs: list[History] = []
    for tenant in TENANTS:
        histories[tenant], log = forked(chance, tenant)
        logs.append(log)
    async with idle(tmp_path / "forked") as world:
        await append(world.log, in_between(chance, logs))
        lost = {e.digest for log in logs for e in log}
        lost -= {e.digest for history in histories.values() for e in history}
        scratch = await folded(world)
        assert scratch.left_out.keys() == lost
        for tenant, history in histories.items():
            state = await world.in_graph(tenant)
            assert live(state) == live(replay(history, tenant))
            assert (state.seq, state.prev) == (len(history), history[-1].digest)
        world.graph.damage("MATCH (t:Tenant) REMOVE t.left_out", {})
        found = await world.fingerprint()
    async with idle(tmp_path / "alone") as world:
        await append(world.log, in_between(chance, histories.values()))
        assert not (await folded(world)).left_out
        assert await world.fingerprint() == found


def in_between(chance: random.Random, logs: Iterable[History]) -> History:
    """The events of several tenants, those of each in order."""
    rest = [[*one] for one in logs]
    found: History = []
    while rest := [left for left in rest if left]:
        found.append(chance.choice(rest).pop(0))
    return found


async def two_owners(world: World, order: str, tenant: str = "default") -> History:
    """What comes after the tenant's history, a letter for each event: `w` those of an owner, `l`
    those of another one that did not decide alike."""
    before = await world.events(tenant)
    # Each of the events names a command.
    nothing = [Record(tenant.encode(), b"", {}) for _ in order]
    await world.log.append(COMMANDS, partition_of(tenant, PARTITIONS), nothing)
    left = {
        letter: branch(tenant, before, order.count(letter), letter)[len(before) :]
        for letter in "wl"
    }
    return [left[letter].pop(0) for letter in order]


async def verified(world: World) -> dict[str, Any]:
    return [step async for step in world.platform.operate(Verify())][-1]


async def stopped(world: World) -> str:
    """Wait until a partition has stopped; answers why."""

    async def is_stopped() -> bool:
        return bool(world.platform._owned.stopped())  # pyright: ignore[reportPrivateUsage]

    await until_async(is_stopped, "stopped")
    [number] = world.platform._owned.stopped()  # pyright: ignore[reportPrivateUsage]
    failure = world.platform._owned.working[number].failure  # pyright: ignore[reportPrivateUsage]
    assert failure is not None
    return failure.code


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize("order", ["wlw", "lww", "wllww", "llwww", "lwlww", "wwlw", "lwww"])
async def test_a_rebuild_brings_the_owner_past_a_fork(
    tmp_path: Path, order: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.projector.BATCH", batch)
    async with World(tmp_path, Clock()) as world:
        await world.agent("ann")
        await world.task("a")
        await world.settled()
        seq = (await world.in_graph()).seq
        await append(world.log, await two_owners(world, order))
        assert await stopped(world) == "divergence"
        with pytest.raises(Unavailable):
            await world.task("b")
        found = await verified(world)
        assert {one["code"] for one in found["problems"]} == {"divergence"}
        assert not (await rebuilt(world, repair=False))["equal"]
        repaired = await rebuilt(world)
        told = [(one["tenant"], one["seq"], one["place"]) for one in repaired["left_out"]]
        assert told == [(one["tenant"], one["seq"], one["place"]) for one in found["problems"]]
        assert len(told) == order.count("l")
        await world.settled()
        assert (await world.in_graph()).seq == seq + order.count("w")
        await world.task("b", idempotency_key="k")
        await goes_on(world, order)
    async with World(tmp_path, Clock()) as world:
        await world.task("b", idempotency_key="k")
        await world.task("c")
        await goes_on(world, order)
        before = await world.fingerprint()
    for file in graph_files(tmp_path):
        file.unlink()
    async with World(tmp_path, Clock()) as world:
        assert await stopped(world) == "divergence"
        await rebuilt(world)
        await goes_on(world, order)
        assert await world.fingerprint() == before


async def goes_on(world: World, order: str) -> None:
    """Nothing is wrong any more, and the history is that of the branch which went on."""
    await world.settled()
    found = await verified(world)
    assert found["ok"], found["problems"]
    assert found["left_out"] == order.count("l")
    again = await world.rebuilt_equal()
    assert again["left_out"] == []
    events = await world.events()
    once = {e.seq: e for e in events if e.digest not in (await world.in_graph()).left_out}
    assert live(await world.in_graph()) == live(replay(once.values()))


async def test_the_owner_tells_an_event_that_goes_on_from_one_that_was_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.task("a")
        await world.settled()
        *first, last = await two_owners(world, "lwwl")
        await append(world.log, first)
        assert await stopped(world) == "divergence"
        await rebuilt(world)
        [told] = [one for one in caplog.messages if "is left out" in one]
        home = partition_of("default", PARTITIONS)
        assert f"two different events 2: that at events/{home}/1 is left out" in told
        assert told.endswith(f"goes on from that at events/{home}/2")
        await world.task("b")
        await append(world.log, [last])
        assert await stopped(world) == "divergence"
        assert [one["seq"] for one in (await verified(world))["problems"]] == [3]
        assert [one["seq"] for one in (await rebuilt(world))["left_out"]] == [3]
        await world.task("c")
        await goes_on(world, "lwwl")


@pytest.mark.parametrize("order", ["wl", "lw", "wwll", "lwlw"])
async def test_where_nothing_says_which_event_is_right_nobody_goes_on(
    tmp_path: Path, order: str
) -> None:
    async with World(tmp_path, Clock()) as world:
        await world.task("a")
        await world.settled()
        events = await two_owners(world, f"{order}w")
        await append(world.log, events[:-1])
        assert await stopped(world) == "divergence"
        home = partition_of("default", PARTITIONS)
        second = 1 + next(n for n, letter in enumerate(order) if letter != order[0])
        places = f"events 2 at events/{home}/1 and events/{home}/{second}"
        for repair in (False, True):
            with pytest.raises(Corrupt, match=f"{places}, .* backup") as raised:
                await rebuilt(world, repair=repair)
            assert raised.value.code == "divergence"
        [problem] = (await verified(world))["problems"]
        assert places in problem["reason"]
        assert problem["place"] == f"events/{home}/{second}"
        assert await stopped(world) == "divergence"
        await append(world.log, events[-1:])
        await rebuilt(world)
        await world.task("b")
        await goes_on(world, order)


async def test_backups_and_questions_of_the_past_leave_out_the_same(tmp_path: Path) -> None:
    async with KeepingWorld(tmp_path, Clock()) as world:
        await world.task("a")
        await world.agent("ann", "acme")
        await world.settled_everywhere()
        first, *others = await two_owners(world, "lwwlw")
        await append(world.log, [first])
        await world.settled()
        before = [step async for step in world.platform.operate(Backup())][-1]
        assert before["fingerprint"] == await world.fingerprint(), "who could know by then"
        await append(world.log, others)
        assert await stopped(world) == "divergence"
        query = "MATCH (t:Task {tenant: 'default'}) RETURN t.title AS title ORDER BY title"
        answer = await world.call("read_cypher", query=query, at="2030-01-01T00:00:00Z")
        assert [row["title"][0] for row in answer["rows"]] == ["a", "w", "w", "w"]
        made = [step async for step in world.platform.operate(Backup())][-1]
        await rebuilt(world)
        await world.settled()
        assert made["fingerprint"] == await world.fingerprint()
