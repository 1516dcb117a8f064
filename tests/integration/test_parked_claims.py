"""A claim that waits is served as soon as there is work, without asking again and again."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log import OutcomeUnknown
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.domain.tasks.index import ReadyTasks
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, SYSTEM_EVENTS
from tests.integration.watched import Gate
from tests.integration.world import Clock, World, others_go_on, until, until_async

LONG = 50


async def claims(world: World) -> int:
    """How many claims were submitted by now."""
    records = await world.records(COMMANDS)
    return sum(record.headers["ce_type"] == "ClaimTask" for record in records)


async def parked(world: World, *agents: str, **more: Any) -> list[asyncio.Task[Any]]:
    """A waiting claim of each agent; all of them were told that there is nothing to do."""
    before = await claims(world)
    waiting = [
        asyncio.create_task(world.call("claim_task", agent_id=agent, wait_seconds=LONG, **more))
        for agent in agents
    ]

    async def all_asked() -> bool:
        return await claims(world) == before + len(agents)

    await until_async(all_asked, "claims submitted")
    await world.settled()
    return waiting


async def test_a_waiting_claim_is_served_when_a_task_is_created(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        [claim] = await parked(world, "ann")
        queries = world.graph.queries
        await others_go_on()
        assert (await claims(world), world.graph.queries) == (1, queries)
        await world.task("t")
        assert (await claim)["task"]["id"] == "t"
        assert await claims(world) == 2


async def test_a_waiting_claim_is_served_when_a_dependency_completes(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob"):
            await world.agent(name)
        await world.task("first")
        await world.task("second", depends_on=["first"])
        await world.call("claim_task", agent_id="bob")
        [claim] = await parked(world, "ann")
        await world.call("complete_task", task_id="first", agent_id="bob", attempt=1)
        assert (await claim)["task"]["id"] == "second"


async def test_a_waiting_claim_is_served_when_the_agent_gets_room(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        for name in ("first", "second"):
            await world.task(name)
        await world.call("claim_task", agent_id="ann")
        [claim] = await parked(world, "ann")
        assert not claim.done()
        await world.call("complete_task", task_id="first", agent_id="ann", attempt=1)
        assert (await claim)["task"]["id"] == "second"


async def test_a_waiting_claim_is_served_when_the_agent_learns(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("t", requires=[{"capability": "python", "level": 0.5}])
        [claim] = await parked(world, "ann")
        await world.call("update_agent", agent_id="ann", capabilities=[{"name": "python"}])
        assert (await claim)["task"]["id"] == "t"


async def test_a_claim_that_finds_nothing_in_time_says_why_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        answer = await world.call("claim_task", agent_id="ann", wait_seconds=0.05)
        assert answer["reason"] == "no_ready_task"
        assert "task" not in answer
        assert await world.types() == ["AgentRegistered"]
        assert await world.records(SYSTEM_EVENTS) == []


async def test_only_a_waiter_that_can_do_it_is_woken(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("cook", capabilities=[{"name": "cooking"}])
        await world.agent("coder", capabilities=[{"name": "python"}])
        cook, coder = await parked(world, "cook", "coder")
        await world.task("t", requires=[{"capability": "python"}])
        assert (await coder)["task"]["id"] == "t"
        assert await claims(world) == 3
        assert not cook.done()
        cook.cancel()


async def test_fifty_waiters_and_thirty_tasks(tmp_path: Path) -> None:
    agents = [f"a{n}" for n in range(50)]
    async with World(tmp_path) as world:
        await asyncio.gather(*(world.agent(name) for name in agents))
        waiting = await parked(world, *agents)
        await asyncio.gather(*(world.task(f"t{n}") for n in range(30)))

        async def thirty_served() -> bool:
            return sum(claim.done() for claim in waiting) >= 30

        await until_async(thirty_served, "30 served")
        await world.settled()
        served = [claim.result()["task"]["id"] for claim in waiting if claim.done()]
        assert sorted(served) == sorted(f"t{n}" for n in range(30))
        # One waiter was woken for each task, and nobody else asked again.
        assert await claims(world) == 50 + 30
        for claim in waiting:
            claim.cancel()


async def test_a_cancelled_waiter_passes_its_hint_on(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob"):
            await world.agent(name)
        first, second = await parked(world, "ann", "bob")
        gate = world.log.gates[COMMANDS] = Gate()
        # Created behind the bus's back, so that the gate holds nothing but the woken claim.
        await world.inject(CreateTask(task_id="t", title="t"), "c1")
        gate.close()
        await until(lambda: gate.waiting == 1, "the first waiter claims")
        first.cancel()
        await asyncio.wait([first])
        # Its claim may be lost on the way to the log, for all that the bus knows.
        world.log.faults[COMMANDS] = fail_once(Unavailable("log_unavailable", "not now"))
        gate.open()
        assert (await second)["task"]["id"] == "t"


def fail_once(error: Exception) -> Callable[[int], Exception | None]:
    """The next append writes nothing."""
    failed: list[int] = []

    def fault(number: int) -> Exception | None:
        if not failed:
            failed.append(number)
            raise error
        return None

    return fault


async def test_a_waiter_cancelled_before_it_claims_passes_its_hint_on(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob"):
            await world.agent(name)
        first, second = await parked(world, "ann", "bob")

        def cancel(number: int) -> None:
            # The waiter is woken after this append, and has not run by then.
            first.cancel()

        world.log.faults[EVENTS] = cancel
        await world.task("t")
        assert (await second)["task"]["id"] == "t"


async def test_a_task_created_while_the_claim_is_decided_is_not_missed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        for number in range(20):
            # Both commands are in one batch, the claim first.
            claim = asyncio.create_task(world.call("claim_task", agent_id="ann", wait_seconds=5))
            create = asyncio.create_task(world.task(f"t{number}"))
            answer = await claim
            assert answer.get("attempt") == 1, (number, answer)
            await create
            await world.call(
                "complete_task", task_id=answer["task"]["id"], agent_id="ann", attempt=1
            )


async def test_a_hint_for_one_task_used_for_another_is_passed_on(tmp_path: Path) -> None:
    """Ann is woken for the hard task, takes the urgent easy one; the hard one is for Cyd then."""
    hard = [{"capability": "hard"}]
    async with World(tmp_path) as world:
        await world.agent("ann", capabilities=[{"name": "hard"}])
        await world.agent("bob")
        await world.agent("cyd", capabilities=[{"name": "hard"}])
        ann, bob, cyd = await parked(world, "ann", "bob", "cyd")
        await asyncio.gather(
            world.task("hard", requires=hard, priority=5), world.task("easy", priority=1)
        )
        await until_async(lambda: two_done(ann, bob, cyd), "two served")
        served = {c.result()["task"]["id"] for c in (ann, bob, cyd) if c.done()}
        assert served == {"hard", "easy"}
        for claim in (ann, bob, cyd):
            claim.cancel()


async def two_done(*waiting: asyncio.Task[Any]) -> bool:
    return sum(one.done() for one in waiting) == 2


async def test_the_hint_of_a_full_agent_goes_to_another(tmp_path: Path) -> None:
    """Both hints go to waiters of Ann, who has room for one task; Bob gets the other."""
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.agent("bob")
        waiting = await parked(world, "ann", "ann", "bob")
        await asyncio.gather(world.task("t1"), world.task("t2"))
        await until_async(lambda: two_done(*waiting), "two served")
        assert waiting[2].done()
        for claim in waiting:
            claim.cancel()


async def test_work_that_a_doubtful_append_made_ready_wakes_waiters(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        [claim] = await parked(world, "ann")
        error = OutcomeUnknown("log_outcome_unknown", "who knows")
        first = world.log.appends[EVENTS] + 1
        world.log.faults[EVENTS] = lambda number: error if number == first else None
        await world.task("t")
        assert (await claim)["task"]["id"] == "t"


@pytest.mark.parametrize("seed", range(4))
async def test_no_wake_up_is_lost(tmp_path: Path, seed: int) -> None:
    """Random agents, tasks, cancellations and completions: nobody waits beside ready work."""
    chance = random.Random(seed)
    async with World(tmp_path, Clock()) as world:
        for n in range(6):
            skills = [{"name": name} for name in ("x", "y") if chance.random() < 0.6]
            await world.agent(f"a{n}", capabilities=skills, max_concurrency=1 + n % 2)
        waiting: list[tuple[str, asyncio.Task[Any]]] = []
        for number in range(50):
            await asyncio.gather(*actions(world, chance, waiting, number))
            waiting = [(agent, claim) for agent, claim in waiting if not claim.done()]
            await nobody_waits_in_vain(world, waiting)
        assert await claims(world) < 1000
        for _, claim in waiting:
            claim.cancel()


def actions(
    world: World,
    chance: random.Random,
    waiting: list[tuple[str, asyncio.Task[Any]]],
    number: int,
) -> list[Any]:
    """Some of everything, at the same time."""
    doing: list[Any] = []
    for n in range(chance.randrange(4)):
        requires = [{"capability": name} for name in ("x", "y") if chance.random() < 0.4]
        priority = chance.randint(1, 5)
        doing.append(world.task(f"t{number}-{n}", requires=requires, priority=priority))
    for _ in range(chance.randrange(4)):
        agent = f"a{chance.randrange(6)}"
        claim = world.call("claim_task", agent_id=agent, wait_seconds=LONG)
        waiting.append((agent, asyncio.create_task(claim)))
    if waiting and chance.random() < 0.3:
        chance.choice(waiting)[1].cancel()
    if chance.random() < 0.7:
        doing.append(complete_some(world, chance))
    chance.shuffle(doing)
    return doing


async def complete_some(world: World, chance: random.Random) -> None:
    tasks = (await world.call("list_tasks", status="running", limit=200))["tasks"]
    for task in chance.sample(tasks, min(len(tasks), 2)):
        held = {"task_id": task["id"], "agent_id": task["agent_id"], "attempt": task["attempt"]}
        await world.call("complete_task", **held)


async def nobody_waits_in_vain(world: World, waiting: list[tuple[str, asyncio.Task[Any]]]) -> None:
    """Soon there is no waiting claim that would find something."""

    async def none_in_vain() -> bool:
        await world.settled()
        state = await world.in_graph()
        agents = [state.get(Agent, name) for name, claim in waiting if not claim.done()]
        free = [a.abilities for a in agents if a is not None and a.active < a.max_concurrency]
        return all(state.index(ReadyTasks).best(levels) is None for levels in free)

    await until_async(none_in_vain, "nobody waits beside ready work")
