"""Reading one's own writes while others work, on Kafka and Neo4j.

`python -m bench.own_writes --config FILE --rate R` prints the milliseconds as JSON.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
from neo4j import AsyncDriver, AsyncGraphDatabase

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, Database, load_config
from agent_orchestration.core.entities import node_id
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.domain.tasks.views import task_answer
from bench.lifecycles import CLIENTS, Client, lifecycle, lifecycles, register
from bench.tenants import tenants

PROBES = 10.0
"""Reads of either kind a second."""
_BY_KEY = "MATCH (t:Task {id: $id}) RETURN t"


class OwnWrites(msgspec.Struct):
    """Milliseconds of each read, and of each bare MATCH; lifecycles a second that others did."""

    reads: list[float]
    matches: list[float]
    rate: float


async def every(seconds: float, until: float, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Begin the work at fixed times, whether what began before is done or not; how often."""
    now = asyncio.get_running_loop().time
    began, count = now(), 0
    async with asyncio.TaskGroup() as group:
        while (due := began + count * seconds) < began + until:
            await asyncio.sleep(max(due - now(), 0))
            group.create_task(work())
            count += 1
    return count


async def own_writes(
    config: Config, names: Sequence[str], rate: float, seconds: float
) -> OwnWrites:
    """Read what was just written, and by key what is there, for so long while lifecycles come at
    this rate; they do so for half as long before, until what the start brought is worked off."""
    platform = Platform(open_backends(config), process=process_name())
    driver = _driver(config.database)
    found = OwnWrites([], [], 0.0)
    try:
        await platform.start()
        clients = await register(platform, 4 * CLIENTS, names)
        await lifecycles(platform, clients, 4 * CLIENTS)
        free = asyncio.Queue[Client]()
        for one in clients:
            free.put_nowait(one)

        async def arrival() -> None:
            client = await free.get()
            await lifecycle(platform.bus, client, 0)
            free.put_nowait(client)

        async def probe() -> None:
            await _probe(platform, driver, clients[0], found)

        settles = seconds / 2
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            others = group.create_task(every(1 / rate, settles + seconds, arrival))
            await asyncio.sleep(settles)
            group.create_task(every(1 / PROBES, seconds, probe))
        found.rate = others.result() / (time.perf_counter() - began)
    finally:
        await driver.close()
        await platform.stop()
    return found


def _driver(settings: Database) -> AsyncDriver:
    assert settings.password is not None
    auth = (settings.username, settings.password.get_secret_value())
    return AsyncGraphDatabase.driver(settings.uri, auth=auth)  # pyright: ignore[reportUnknownMemberType]


async def _probe(platform: Platform, driver: AsyncDriver, client: Client, found: OwnWrites) -> None:
    """The task of a bystander stays as it is: it waits for one that never completes."""
    gateway = platform._gateway(client.caller)  # pyright: ignore[reportPrivateUsage]
    result = await gateway.submit(CreateTask(title="Read at once"))
    task = result.data["task_id"]
    began = time.perf_counter()
    await task_answer(gateway, task, result.seq)
    read = time.perf_counter()
    async with driver.session(database="neo4j") as session:  # pyright: ignore[reportUnknownMemberType]
        answer = await session.run(_BY_KEY, id=node_id(client.caller.tenant, task))
        assert await answer.single() is not None
    matched = time.perf_counter()
    found.reads.append(1000 * (read - began))
    found.matches.append(1000 * (matched - read))


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.own_writes", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True, help="lifecycles a second")
    parser.add_argument("--tenants", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    names = tenants(given.tenants, config.kafka.num_partitions)
    found = run(own_writes(config, names, given.rate, given.seconds), serving=True)
    read, matched = statistics.median(found.reads), statistics.median(found.matches)
    print_json({"read": read, "match": matched, "rate": found.rate})


if __name__ == "__main__":
    main()
