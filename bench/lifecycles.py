"""Lifecycles of tasks through the whole pipeline: create, claim, start, complete.

`python -m bench.lifecycles` prints how many there were in a second, as JSON.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.tasks.commands import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    StartTask,
)
from agent_orchestration.pipeline.command_bus import CommandBus
from bench.processes import folder

CLIENTS = 64
_CALLER = Caller()


class Rate(msgspec.Struct, frozen=True):
    """Lifecycles a second, until the last was acknowledged and until the graph had them all."""

    decided: float
    caught_up: float


async def register(platform: Platform, clients: int) -> list[str]:
    """An agent for each client; their ids."""
    names = [f"agent-{number}" for number in range(clients)]
    commands = (RegisterAgent(agent_id=name, name=name, kind="function") for name in names)
    await asyncio.gather(*(platform.bus.submit(command, _CALLER) for command in commands))
    return names


async def lifecycles(platform: Platform, agents: Sequence[str], count: int) -> Rate:
    """Run `count` lifecycles, shared by clients that each wait for every answer."""
    numbers = iter(range(count))
    began = time.perf_counter()
    seqs = await asyncio.gather(*(_client(platform.bus, agent, numbers) for agent in agents))
    decided = time.perf_counter() - began
    await _in_graph(platform, max(seqs))
    caught_up = time.perf_counter() - began
    return Rate(count / decided, count / caught_up)


async def _client(bus: CommandBus, agent: str, numbers: Iterator[int]) -> int:
    """Run lifecycles while there are numbers; the `seq` of the last acknowledgement."""
    seq = 0
    for number in numbers:
        await bus.submit(CreateTask(title=f"Task number {number}"), _CALLER)
        claimed = await bus.submit(ClaimTask(agent_id=agent, start=False), _CALLER)
        held = {name: claimed.data[name] for name in ("task_id", "agent_id", "attempt")}
        await bus.submit(StartTask(**held), _CALLER)
        seq = (await bus.submit(CompleteTask(**held), _CALLER)).seq
    return seq


async def _in_graph(platform: Platform, seq: int) -> None:
    """Wait until the graph has the tenant's event `seq`."""
    asked = {"after": seq - 1, "limit": 1, "wait_seconds": 50}
    while not (await platform.call("get_history", asked, _CALLER))["events"]:
        pass


async def measured(data: Path, clients: int, count: int) -> Rate:
    """Lifecycles on a new data folder, after some that are not counted."""
    platform = Platform(open_backends(Config(data=data)))
    try:
        await platform.start()
        agents = await register(platform, clients)
        await lifecycles(platform, agents, clients)
        return await lifecycles(platform, agents, count)
    finally:
        await platform.stop()


def main() -> None:
    """Measure as a process of its own, with the settings of the program."""
    parser = argparse.ArgumentParser(prog="python -m bench.lifecycles", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    collect_rarely()
    with folder() as home:
        rate = run(measured(home, given.clients, given.count), serving=True)
    print_json(msgspec.to_builtins(rate))


if __name__ == "__main__":
    main()
