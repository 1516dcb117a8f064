"""Time passes through the log: leases run out, retries come due, silent agents go offline."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.envelope import Record
from agent_orchestration.pipeline.timer import Timer
from agent_orchestration.pipeline.topology import COMMANDS
from tests.integration.world import Clock, World, until

LEASE = 60


class Ticks:
    """Lets time pass in steps that are no pauses; every timer looks at the clock in each.

    A timer without deadlines does not tick: let no time pass once nothing is due any more.
    """

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.seen: dict[int, int] = {}

    async def pass_seconds(self, seconds: int) -> None:
        """In steps of a second, until everything that came due is settled."""
        for _ in range(seconds):
            self.clock.pass_seconds(1)
            await self.look()

    async def look(self) -> None:
        """Until every timer that has deadlines has looked at the present time."""
        await self.world.settled_everywhere()
        now = self.clock.now
        for timer in self.seen:
            await until(lambda timer=timer: self.seen[timer] >= now, "a tick")
        await self.world.settled_everywhere()

    async def pause(self, seconds: int) -> None:
        """Everything stood still for so long."""
        self.clock.pass_seconds(seconds)
        await self.look()


@pytest.fixture
async def ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ticks]:
    """A platform whose timers tick fast on a clock that stands still."""
    clock = Clock()
    ticks = watch(World(tmp_path, clock), clock, monkeypatch)
    async with ticks.world:
        yield ticks


def watch(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """Note which timer looked at which time."""
    ticks = Ticks(world, clock)
    original: Any = vars(Timer)["_tick"]

    async def tick(timer: Timer, now: int) -> None:
        await original(timer, now)
        ticks.seen[id(timer)] = now

    monkeypatch.setattr(Timer, "_tick", tick)
    monkeypatch.setattr("agent_orchestration.pipeline.timer.TICK_SECONDS", 0.0005)
    return ticks


async def claimed(world: World, **more: Any) -> None:
    """Ann holds the task t."""
    await world.agent("ann", max_concurrency=5)
    await world.task("t", lease_seconds=LEASE, **more)
    assert (await world.call("claim_task", agent_id="ann"))["attempt"] == 1


async def status(world: World) -> tuple[str, int]:
    task = (await world.call("get_task", task_id="t"))["task"]
    return task["status"], task["attempt"]


async def beat(world: World) -> str:
    lease = {"task_id": "t", "attempt": 1}
    answer = await world.call("heartbeat", agent_id="ann", leases=[lease])
    return answer["leases"][0]["verdict"]


async def test_a_lease_runs_out(ticks: Ticks) -> None:
    await claimed(ticks.world)
    await ticks.pass_seconds(LEASE - 1)
    assert await status(ticks.world) == ("running", 1)
    await ticks.pass_seconds(2)
    assert await status(ticks.world) == ("ready", 1)
    assert (await ticks.world.types())[-1] == "TaskLeaseExpired"
    assert await beat(ticks.world) == "fenced"
    assert (await ticks.world.call("get_agent", agent_id="ann"))["agent"]["active"] == 0
    await ticks.world.is_fold_of_log()


async def test_a_heartbeat_renews_the_lease_without_a_trace(ticks: Ticks) -> None:
    await claimed(ticks.world)
    before = await ticks.world.types()
    for _ in range(5):
        await ticks.pass_seconds(LEASE - 10)
        assert await beat(ticks.world) == "continue"
    assert await ticks.world.types() == before
    await ticks.pass_seconds(LEASE - 1)
    assert await status(ticks.world) == ("running", 1)
    await ticks.pass_seconds(2)
    assert await status(ticks.world) == ("ready", 1)


async def test_progress_renews_the_lease(ticks: Ticks) -> None:
    await claimed(ticks.world)
    await ticks.pass_seconds(LEASE - 10)
    held = {"task_id": "t", "agent_id": "ann", "attempt": 1}
    await ticks.world.call("report_progress", **held, progress=1)
    await ticks.pass_seconds(LEASE - 1)
    assert await status(ticks.world) == ("running", 1)
    await ticks.pass_seconds(2)
    assert await status(ticks.world) == ("ready", 1)


@pytest.mark.parametrize(("pause", "forgiven"), [(LEASE // 2, True), (10, False)])
async def test_a_long_pause_gives_the_lease_its_full_time_again(
    ticks: Ticks, pause: int, forgiven: bool
) -> None:
    await claimed(ticks.world)
    await ticks.pass_seconds(LEASE - 5)
    await ticks.pause(pause)
    assert await status(ticks.world) == (("running", 1) if forgiven else ("ready", 1))
    if forgiven:
        await ticks.pass_seconds(LEASE - 1)
        assert await status(ticks.world) == ("running", 1)
        await ticks.pass_seconds(2)
        assert await status(ticks.world) == ("ready", 1)


async def test_a_restart_gives_the_lease_its_full_time_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await claimed(world)
    clock.pass_seconds(10 * LEASE)
    ticks = watch(World(tmp_path, clock), clock, monkeypatch)
    async with ticks.world as world:
        await world.ready()
        await until(lambda: bool(ticks.seen), "the first tick")
        assert await status(world) == ("running", 1)
        await ticks.pass_seconds(LEASE - 1)
        assert await status(world) == ("running", 1)
        await ticks.pass_seconds(2)
        assert await status(world) == ("ready", 1)


async def failed(world: World, seconds: float) -> None:
    held = {"task_id": "t", "agent_id": "ann", "attempt": 1}
    await world.call("fail_task", **held, error="no", retry_after_seconds=seconds)


async def test_a_retry_is_released_at_its_time(ticks: Ticks) -> None:
    await claimed(ticks.world)
    await failed(ticks.world, 30)
    await ticks.pass_seconds(29)
    assert await status(ticks.world) == ("blocked", 1)
    await ticks.pass_seconds(1)
    assert await status(ticks.world) == ("ready", 1)
    assert (await ticks.world.types())[-1] == "TaskReleased"


async def test_a_waiting_claim_gets_the_retried_task(ticks: Ticks) -> None:
    await claimed(ticks.world)
    await failed(ticks.world, 3)
    claim = asyncio.create_task(ticks.world.call("claim_task", agent_id="ann", wait_seconds=20))
    await ticks.pass_seconds(3)
    assert (await claim)["attempt"] == 2


async def test_a_renewed_lease_hides_no_other_deadline(ticks: Ticks) -> None:
    """Over by the facts, renewed by heartbeats: what is due after it must still be seen."""
    world = ticks.world
    await world.agent("bob")
    await world.task("long", lease_seconds=LEASE * 10)
    await world.call("claim_task", agent_id="bob", lease_seconds=LEASE * 10)
    await claimed(world)
    await failed(world, LEASE * 10 + 30)
    await ticks.pass_seconds(5)
    lease = {"task_id": "long", "attempt": 1}
    await world.call("heartbeat", agent_id="bob", leases=[lease])
    await ticks.pass_seconds(LEASE * 10 - 5)
    await world.call("heartbeat", agent_id="bob", leases=[lease])
    await ticks.pass_seconds(30)
    assert await status(world) == ("ready", 1)
    assert (await world.call("get_task", task_id="long"))["task"]["status"] == "running"


async def online(world: World) -> str:
    return (await world.call("get_agent", agent_id="ann"))["agent"]["status"]


async def test_a_silent_agent_goes_offline_and_comes_back(ticks: Ticks) -> None:
    world = ticks.world
    await world.agent("ann", heartbeat_seconds=30)
    await ticks.pass_seconds(25)
    await world.call("heartbeat", agent_id="ann")
    await ticks.pass_seconds(29)
    assert await online(world) == "idle"
    await ticks.pass_seconds(2)
    assert await online(world) == "offline"
    await world.call("heartbeat", agent_id="ann")
    assert await online(world) == "idle"
    assert await world.types() == ["AgentRegistered", "AgentWentOffline", "AgentCameOnline"]
    await ticks.pass_seconds(31)
    assert await online(world) == "offline"


async def test_a_claim_is_a_sign_of_life(ticks: Ticks) -> None:
    world = ticks.world
    await world.agent("ann", heartbeat_seconds=30)
    for _ in range(4):
        await ticks.pass_seconds(25)
        assert (await world.call("claim_task", agent_id="ann"))["reason"] == "no_ready_task"
    assert await online(world) == "idle"
    assert await world.types() == ["AgentRegistered"]


async def test_an_expiry_sent_twice_is_one_event(ticks: Ticks) -> None:
    world = ticks.world
    await claimed(world)
    await ticks.pass_seconds(LEASE + 1)
    [expiry] = [r for r in await world.records(COMMANDS) if r.headers["ce_type"] == "ExpireLease"]
    until_ms = ticks.clock.now - 1000
    assert expiry.headers["ce_id"] == f"timer:default:lease:t:1:{until_ms}"
    again = await world.call("claim_task", agent_id="ann")
    assert again["attempt"] == 2
    copy = Record(expiry.key, expiry.value, dict(expiry.headers))
    await world.log.append(COMMANDS, expiry.partition, [copy, copy])
    await world.settled()
    assert (await world.types()).count("TaskLeaseExpired") == 1
    assert await status(world) == ("running", 2)


async def test_nothing_is_sent_while_nothing_is_due(ticks: Ticks) -> None:
    await claimed(ticks.world)
    before = len(await ticks.world.records(COMMANDS))
    await ticks.pass_seconds(LEASE - 1)
    assert len(await ticks.world.records(COMMANDS)) == before


async def test_a_timer_after_a_long_idle_time_expires_as_usual(ticks: Ticks) -> None:
    await ticks.world.ready()
    ticks.clock.pass_seconds(3600)
    await claimed(ticks.world)
    await ticks.pass_seconds(LEASE - 1)
    assert await status(ticks.world) == ("running", 1)
    await ticks.pass_seconds(2)
    assert await status(ticks.world) == ("ready", 1)


async def test_many_leases_of_many_tenants_run_out(ticks: Ticks) -> None:
    world = ticks.world
    tenants = [f"tenant-{n}" for n in range(8)]
    for tenant in tenants:
        await world.agent("ann", tenant, max_concurrency=10)
        for n in range(10):
            await world.task(f"t{n}", tenant, lease_seconds=5 + n)
            await world.call("claim_task", tenant, agent_id="ann")
    await ticks.pass_seconds(16)
    for tenant in tenants:
        await world.settled(tenant)
        assert (await world.types(tenant)).count("TaskLeaseExpired") == 10
        await world.is_fold_of_log(tenant)
