"""Lifecycles of tasks through the whole pipeline: create, claim, start, complete.

`python -m bench.lifecycles` prints how many there were in a second, as JSON.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Busy
from agent_orchestration.core.messages import Command, CommandResult
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.tasks.commands import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    StartTask,
)
from bench.processes import folder
from bench.tenants import tenants

CLIENTS = 64
ONE = (DEFAULT_TENANT,)


class Submits(Protocol):
    """What commands are submitted to."""

    async def submit(self, command: Command, caller: Caller) -> CommandResult:
        """See `CommandBus`."""
        ...


class Client(NamedTuple):
    """Somebody who waits for each answer before asking for the next thing."""

    caller: Caller
    agent: str


class Rate(msgspec.Struct, frozen=True):
    """Lifecycles a second, until the last was acknowledged and until the graph had them all; the
    median of how long the four steps of one took, and what this process took of the processor for
    each until then, clients included, in milliseconds."""

    decided: float
    caught_up: float
    p50: float
    processor: float


async def register(platform: Platform, clients: int, names: Sequence[str] = ONE) -> list[Client]:
    """Clients with an agent each, spread over the tenants."""
    made: list[Client] = []
    for number in range(clients):
        caller = Caller(tenant=names[number % len(names)])
        made.append(Client(caller, f"agent-{number}"))
    await asyncio.gather(
        *(
            submit(
                platform.bus,
                RegisterAgent(agent_id=agent, name=agent, kind="function"),
                caller,
            )
            for caller, agent in made
        )
    )
    return made


async def lifecycles(
    platform: Platform, clients: Sequence[Client], count: int, bus: Submits | None = None
) -> Rate:
    """Run `count` lifecycles, shared by clients that each wait for every answer; they use the
    platform's own bus unless another is given."""
    to = bus or platform.bus
    numbers = iter(range(count))
    took: list[float] = []
    began, processor = time.perf_counter(), time.process_time()
    last = await asyncio.gather(*(_client(to, one, numbers, took) for one in clients))
    decided = time.perf_counter() - began
    seqs: dict[str, int] = {}
    for client, seq in zip(clients, last, strict=True):
        seqs[client.caller.tenant] = max(seq, seqs.get(client.caller.tenant, 0))
    await asyncio.gather(*(in_graph(platform, tenant, seq) for tenant, seq in seqs.items()))
    caught_up = time.perf_counter() - began
    processor = 1000 * (time.process_time() - processor) / count
    return Rate(count / decided, count / caught_up, 1000 * statistics.median(took), processor)


async def _client(bus: Submits, client: Client, numbers: Iterator[int], took: list[float]) -> int:
    """Run lifecycles while there are numbers; the `seq` of the last acknowledgement."""
    seq = 0
    for number in numbers:
        began = time.perf_counter()
        seq = await lifecycle(bus, client, number)
        took.append(time.perf_counter() - began)
    return seq


async def lifecycle(bus: Submits, client: Client, number: int) -> int:
    """Four steps, each acknowledged before the next; the `seq` of the last."""
    caller, agent = client
    await submit(bus, CreateTask(title=f"Task number {number}"), caller)
    claimed = await submit(bus, ClaimTask(agent_id=agent, start=False), caller)
    held = {name: claimed.data[name] for name in ("task_id", "agent_id", "attempt")}
    await submit(bus, StartTask(**held), caller)
    return (await submit(bus, CompleteTask(**held), caller)).seq


async def submit(bus: Submits, command: Command, caller: Caller) -> CommandResult:
    """The command's outcome; it is repeated while there is too much to do."""
    while True:
        try:
            return await bus.submit(command, caller)
        except Busy as error:
            await asyncio.sleep(error.details["retry_after"])


async def in_graph(platform: Platform, tenant: str, seq: int) -> None:
    """Wait until the graph has the tenant's event `seq`."""
    asked = {"after": max(seq - 1, 0), "limit": 1, "wait_seconds": 50}
    while not (await platform.call("get_history", asked, Caller(tenant=tenant)))["events"]:
        pass


async def measured(config: Config, clients: int, count: int, names: Sequence[str] = ONE) -> Rate:
    """Lifecycles on new backends, after some that are not counted."""
    shared = config.backend != "embedded"
    platform = Platform(open_backends(config), process=process_name() if shared else None)
    try:
        await platform.start()
        made = await register(platform, clients, names)
        await lifecycles(platform, made, clients)
        return await lifecycles(platform, made, count)
    finally:
        await platform.stop()


def main() -> None:
    """Measure as a process of its own, with the settings of the program."""
    parser = argparse.ArgumentParser(prog="python -m bench.lifecycles", description=__doc__)
    parser.add_argument("--config", type=Path, help="settings (default: embedded, a new folder)")
    parser.add_argument("--tenants", type=int, help="default: the default one")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    collect_rarely()
    with folder() as home:
        config = load_config(given.config) if given.config else Config(data=home)
        names = tenants(given.tenants, config.kafka.num_partitions) if given.tenants else ONE
        rate = run(measured(config, given.clients, given.count, names), serving=True)
    print_json(msgspec.to_builtins(rate))


if __name__ == "__main__":
    main()
