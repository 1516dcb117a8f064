"""A process killed at any moment: nothing that was acknowledged is lost."""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.world import World

WORKER = """
import asyncio, sys
from agent_orchestration.app import Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller

async def work(platform, tenant, name, number):
    caller = Caller(tenant=tenant)
    def call(tool, **arguments):
        return platform.call(tool, arguments, caller)
    agent = f"{name}-{number}"
    await call("register_agent", id=agent, name=agent, kind="function", capabilities=[])
    while True:
        number += 1
        task = f"{name}-{number}"
        created = await call("create_task", id=task, title=task, payload={"n": number})
        print(tenant, created["seq"], task, "exists", flush=True)
        claimed = await call("claim_task", agent_id=agent)
        if "task" in claimed:
            held = {"task_id": claimed["task"]["id"], "agent_id": agent}
            done = await call("complete_task", **held, attempt=claimed["attempt"], result=number)
            print(tenant, done["seq"], held["task_id"], "completed", flush=True)

async def main():
    platform = Platform(open_backends(Config(data=sys.argv[1])))
    await platform.start()
    number = int(sys.argv[2])
    await asyncio.gather(*(
        work(platform, tenant, name, number)
        for tenant in ("default", "acme") for name in ("a", "b", "c")
    ))

asyncio.run(main())
"""


async def killed_after(folder: Path, number: int, lines: int) -> list[tuple[str, int, str, str]]:
    """What a working process told before it was killed: (tenant, seq, task, what)."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, str(folder), str(number)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    told = [await child.stdout.readline() for _ in range(lines)]
    child.kill()
    told += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    words = [line.decode().split() for line in told if line.endswith(b"\n")]
    return [(tenant, int(seq), task, what) for tenant, seq, task, what in words]


async def check(world: World, told: list[tuple[str, int, str, str]]) -> None:
    """Everything told is in the log and in the graph."""
    for tenant in ("default", "acme"):
        await world.is_fold_of_log(tenant)
        its = [one for one in told if one[0] == tenant]
        assert max(seq for _, seq, _, _ in its) <= len(await world.events(tenant))
        for _, _, task, what in its[-10:]:
            found: dict[str, Any] = await world.call("get_task", tenant, task_id=task)
            assert what != "completed" or found["task"]["status"] == "completed"


@pytest.mark.process
@pytest.mark.slow
async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    chance = random.Random(7)
    told: list[tuple[str, int, str, str]] = []
    for number in range(15):
        told += await killed_after(tmp_path, number * 100_000, 12 + chance.randrange(80))
        async with World(tmp_path) as world:
            await check(world, told)
            await world.rebuilt_equal()
    async with World(tmp_path) as world:
        for tenant in ("default", "acme"):
            created = [e for e in await world.events(tenant) if e.type == "TaskCreated"]
            assert len({e.body for e in created}) == len(created)
