"""Everybody claims at once: no task twice, no agent beyond its limit."""

import asyncio
from collections import Counter
from pathlib import Path

from agent_orchestration.domain.agents.model import Agent
from tests.integration.world import World

AGENTS = [f"a{n}" for n in range(50)]
TASKS = [f"t{n}" for n in range(100)]


async def test_a_thousand_claims_for_a_hundred_tasks(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await asyncio.gather(*(world.agent(name, max_concurrency=2) for name in AGENTS))
        await asyncio.gather(*(world.task(name) for name in TASKS))
        claims = [world.call("claim_task", agent_id=AGENTS[n % 50]) for n in range(1000)]
        answers = await asyncio.gather(*claims)
        served = [answer for answer in answers if "task" in answer]
        assert sorted(answer["task"]["id"] for answer in served) == sorted(TASKS)
        assert {answer["attempt"] for answer in served} == {1}
        held = Counter(answer["task"]["agent_id"] for answer in served)
        assert held == dict.fromkeys(AGENTS, 2)
        state = await world.in_graph()
        assert all(agent.active == 2 for agent in state.all(Agent))
        assert (await world.types()).count("TaskClaimed") == 100
        await world.is_fold_of_log()


async def test_nobody_is_over_the_limit_while_tasks_come_and_go(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await asyncio.gather(*(world.agent(name, max_concurrency=2) for name in AGENTS[:5]))
        done: Counter[str] = Counter()

        async def work(agent: str) -> None:
            while sum(done.values()) < len(TASKS):
                claim = await world.call("claim_task", agent_id=agent, wait_seconds=0.2)
                if "task" not in claim:
                    continue
                seen = await world.call("get_agent", agent_id=agent)
                assert seen["agent"]["active"] <= 2
                held = {"task_id": claim["task"]["id"], "attempt": claim["attempt"]}
                await world.call("complete_task", agent_id=agent, **held)
                done[held["task_id"]] += 1

        workers = [asyncio.create_task(work(agent)) for agent in AGENTS[:5] for _ in range(4)]
        await asyncio.gather(*(world.task(name) for name in TASKS))
        await asyncio.gather(*workers)
        assert done == dict.fromkeys(TASKS, 1)
        highest = Counter[str]()
        active = Counter[str]()
        for event in await world.events():
            if event.type in ("TaskClaimed", "TaskCompleted"):
                agent = world.platform.registry.decode_event(
                    event.type, event.version, event.body
                ).reply()["agent_id"]
                active[agent] += 1 if event.type == "TaskClaimed" else -1
                highest[agent] = max(highest[agent], active[agent])
        assert max(highest.values()) <= 2
        await world.is_fold_of_log()
