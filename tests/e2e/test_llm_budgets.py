"""Fifty agents of a language model, budgets at three levels, workers that are killed: never over,
and every sum is that of the service's own bill."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.remote import RemoteDispatcher
from agent_orchestration.workers.calls import PatientCalls
from tests.e2e.program import PATIENCE, PROGRAM, environment, started
from tests.e2e.server_process import checked_log, running

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(400)]
AGENTS = [f"agent-{number:02}" for number in range(50)]
TEAM = AGENTS[:20]
TASKS = 150
#: One micro for each token, both ways.
PRICES = """
version: "1"
models: {gpt-4-turbo: {prompt: 1000000, cached: 1000000, completion: 1000000}}
"""
#: Of the tenant, the team and one agent: less than everything together costs.
LIMITS: dict[str, tuple[int, dict[str, str]]] = {
    "tenant": (90_000, {}),
    "team": (30_000, {"team_id": "north"}),
    "agent": (4_000, {"agent_id": AGENTS[0]}),
}


class Company:
    """Fifty agents, tasks of very different length, and who looks after the money."""

    def __init__(self, folder: Path, door: RemoteDispatcher, model: str) -> None:
        self.call = PatientCalls(door, Caller())
        self.samples: list[dict[str, Any]] = []
        self._folder = folder
        self._model = model

    async def begin(self, chance: random.Random, lease: int) -> None:
        """Agents, a team of some of them, budgets, and tasks."""
        settings = {"limits": {"answer_tokens": 800}}
        await self.call(
            "define_template",
            name="talker",
            kind="llm",
            capabilities=[],
            settings=settings,
            max_concurrency=2,
        )
        for agent in AGENTS:
            await self.call("instantiate_agent", template="talker", id=agent)
        await self.call(
            "form_team",
            id="north",
            goal="Half of the work",
            members=[{"agent_id": one} for one in TEAM],
        )
        for limit, whose in LIMITS.values():
            await self.call("set_budget", limit_micros=limit, **whose)
        for number in range(TASKS):
            payload = "word " * chance.randint(5, 400)
            team = {"team_id": "north"} if number % 2 else {}
            await self.call(
                "create_task",
                id=f"task-{number}",
                title="Say it again",
                payload=payload,
                lease_seconds=lease,
                **team,
            )

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncGenerator[asyncio.subprocess.Process]:
        """All fifty at work in a process that is killed at the end."""
        agents = [word for agent in AGENTS for word in ("--agent", agent)]
        (self._folder / "prices.yaml").write_text(PRICES, "utf-8")
        words = ["worker", *agents, "--prices", "prices.yaml", "--data", str(self._folder / "data")]
        variables = {"OPENAI_BASE_URL": f"{self._model}/v1"}
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *words,
            cwd=self._folder,
            env=environment(self._folder, variables),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            await process.wait()

    async def watch(self) -> None:
        """Look at the budgets all the time."""
        while True:
            self.samples += (await self.call("list_budgets"))["budgets"]
            await asyncio.sleep(0.05)

    async def ended(self) -> Counter[str]:
        """Wait for every task's end; how many ended how."""
        ids = [f"task-{number}" for number in range(TASKS)]
        while not (found := await self.call("wait_for_tasks", ids=ids, seconds=20))["finished"]:
            pass
        return Counter(task["status"] for task in found["tasks"])

    async def usage(self, by: str) -> list[dict[str, Any]]:
        """What was spent, and for what."""
        return (await self.call("get_usage", by=by, limit=200))["usage"]

    def billed(self) -> dict[str, int]:
        """What the service counted."""
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as web:
            [billed] = web.get(f"{self._model}/stand-in/usage").json()["billed"]
        return billed


@contextlib.asynccontextmanager
async def company(folder: Path) -> AsyncGenerator[Company]:
    with running(folder) as server, started(folder, "stand-in-model", "--json") as model:
        assert model.stdout is not None
        door = RemoteDispatcher(server.url, None, REGISTRY, PATIENCE)
        try:
            yield Company(folder, door, json.loads(model.stdout.readline())["url"])
        finally:
            await door.close()


@pytest.mark.parametrize("kills", [0, 5])
async def test_nothing_is_spent_beyond_a_budget_and_every_sum_is_exact(
    tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    async with company(tmp_path) as firm:
        # A short lease where workers are killed: what one of them held is soon another's.
        await firm.begin(chance, 3 if kills else 60)
        watching = asyncio.create_task(firm.watch())
        for _ in range(kills):
            async with firm.worker() as process:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), chance.uniform(2, 6))
        async with firm.worker():
            ends = await firm.ended()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        firm.samples += (budgets := (await firm.call("list_budgets"))["budgets"])
        by = {one: await firm.usage(one) for one in ("task", "agent", "team", "model")}
        billed = firm.billed()
    limits = {scope: limit for scope, (limit, _) in LIMITS.items()}
    for seen in firm.samples:
        assert seen["spent_micros"] + seen["reserved_micros"] <= limits[seen["scope"]], seen
    [total] = by["model"]
    for one in ("cost_micros", "unconfirmed_micros", "prompt_tokens", "completion_tokens", "calls"):
        assert sum(row[one] for row in by["task"]) == sum(row[one] for row in by["agent"])
        assert sum(row[one] for row in by["agent"]) == total[one]
    spent = {
        "tenant": total["cost_micros"],
        "team": by["team"][0]["cost_micros"],
        "agent": sum(row["cost_micros"] for row in by["agent"] if row["key"] == AGENTS[0]),
    }
    assert {one["scope"]: one["spent_micros"] for one in budgets} == spent
    assert {one["scope"]: one["reserved_micros"] for one in budgets} == dict.fromkeys(spent, 0)
    # Some found too little left, and some did not: fewer, where what died with a worker counts.
    assert min(ends["completed"], ends["failed"]) > (0 if kills else TASKS // 10), ends
    # What is settled was billed; what was billed and is not settled died with a worker, and each
    # such call counts as the most that it could cost.
    settled = total["cost_micros"] - total["unconfirmed_micros"]
    assert settled == total["prompt_tokens"] + total["completion_tokens"]
    lost = billed["prompt_tokens"] + billed["completion_tokens"] - settled
    assert 0 <= lost <= total["unconfirmed_micros"]
    assert kills or lost == total["unconfirmed_micros"] == 0
    checked_log(tmp_path)
