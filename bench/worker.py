"""Tasks through a worker, beside the same calls made by hand and the commands alone, each until the
graph has what became of them.

`python -m bench.worker` prints, as JSON, seconds of wall time and of the processor for each task,
and how it went with very many tasks held by one worker at once.
"""

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.tasks.commands import ClaimTask, CompleteTask, CreateTask
from agent_orchestration.workers import HeldTask
from agent_orchestration.workers.worker import Worker
from bench.lifecycles import submit
from bench.processes import folder

AGENT = "agent-0"
CALLER = Caller()
TURNS = 5


class Took(NamedTuple):
    """Milliseconds for each task."""

    wall: float
    processor: float


async def by_commands(platform: Platform) -> None:
    """Claim and complete one task on the command bus; nobody reads the task."""
    claimed = await submit(platform.bus, ClaimTask(agent_id=AGENT), CALLER)
    held = {name: claimed.data[name] for name in ("task_id", "agent_id", "attempt")}
    await submit(platform.bus, CompleteTask(**held, result="1"), CALLER)


async def by_calls(platform: Platform) -> None:
    """The two calls that a worker makes, which answer with the task from the graph."""
    claimed = await platform.call("claim_task", {"agent_id": AGENT}, CALLER)
    held = {"task_id": claimed["task"]["id"], "attempt": claimed["attempt"], "agent_id": AGENT}
    await platform.call("complete_task", {**held, "result": 1}, CALLER)


async def by_hand(
    platform: Platform, one: Callable[[Platform], Awaitable[None]], clients: int, count: int
) -> Took:
    """`count` tasks by clients that each wait for every answer."""
    numbers = iter(range(count))

    async def client(numbers: Iterator[int]) -> None:
        for _ in numbers:
            await one(platform)

    began = _now()
    await asyncio.gather(*(client(numbers) for _ in range(clients)))
    await _in_the_graph(platform)
    return _took(began, count)


async def by_worker(platform: Platform, concurrency: int, count: int) -> Took:
    """`count` tasks by a worker whose handler does nothing."""
    done, completed = asyncio.Event(), 0

    async def nothing(_task: HeldTask) -> int:
        return 1

    def watch(_task: HeldTask, change: str) -> None:
        nonlocal completed
        completed += change == "completed"
        if completed == count:
            done.set()

    worker = Worker(platform, AGENT, nothing, concurrency=concurrency, watch=watch)
    began = _now()
    work = asyncio.create_task(worker.run())
    await done.wait()
    await _in_the_graph(platform)
    took = _took(began, count)
    worker.stop()
    await work
    return took


async def at_once(platform: Platform, count: int) -> dict[str, float]:
    """So many tasks held by one worker at the same time: all wait for the last to begin."""
    begun, all_begun = 0, asyncio.Event()

    async def wait_for_all(task: HeldTask) -> int:
        nonlocal begun
        begun += 1
        if begun == count:
            all_begun.set()
        await all_begun.wait()
        return task.attempt

    done, attempts = asyncio.Event(), list[int]()

    def watch(task: HeldTask, change: str) -> None:
        if change == "completed":
            attempts.append(task.attempt)
        if len(attempts) == count:
            done.set()

    worker = Worker(platform, AGENT, wait_for_all, concurrency=count, watch=watch)
    memory, began = _memory(), time.perf_counter()
    work = asyncio.create_task(worker.run())
    await all_begun.wait()
    held = time.perf_counter() - began
    await done.wait()
    finished = time.perf_counter() - began
    worker.stop()
    await work
    more = _memory() - memory
    return {"held": held, "finished": finished, "memory": more, "attempts": max(attempts)}


async def measured(clients: int, count: int, many: int) -> dict[str, Any]:
    """All of it, in turns, on a new embedded platform."""
    with folder() as home:
        platform = Platform(open_backends(Config(data=home)))
        await platform.start()
        try:
            agent = RegisterAgent(
                agent_id=AGENT, name=AGENT, kind="function", max_concurrency=max(many, clients)
            )
            await submit(platform.bus, agent, CALLER)
            turns = [await _turn(platform, clients, count) for _ in range(TURNS)]
            await _create(platform, many)
            found: dict[str, Any] = {"at_once": await at_once(platform, many)}
        finally:
            await platform.stop()
    for way in turns[0]:
        sides = zip(*(turn[way] for turn in turns), strict=True)
        found[way] = Took(*(statistics.median(side) for side in sides))._asdict()
    return found


async def _turn(platform: Platform, clients: int, count: int) -> dict[str, Took]:
    took: dict[str, Took] = {}
    for name, one in (("commands", by_commands), ("calls", by_calls)):
        await _create(platform, count)
        took[name] = await by_hand(platform, one, clients, count)
    await _create(platform, count)
    took["worker"] = await by_worker(platform, clients, count)
    return took


async def _in_the_graph(platform: Platform) -> None:
    """Wait until all that was done can be read: that is work which the calls began, too."""
    nobodys = {"title": "The last", "requires": [{"capability": "nobodys"}]}
    await platform.call("create_task", nobodys, CALLER)


async def _create(platform: Platform, count: int) -> None:
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await submit(platform.bus, CreateTask(title=f"Task number {number}"), CALLER)

    await asyncio.gather(*(client() for _ in range(64)))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _took(began: tuple[float, float], count: int) -> Took:
    wall, processor = (1000 * (now - then) / count for now, then in zip(_now(), began, strict=True))
    return Took(wall, processor)


def _memory() -> float:
    """The most that this process has taken so far, in megabytes (Linux counts in kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=1000)
    given = parser.parse_args()
    collect_rarely()
    print_json(run(measured(given.clients, given.count, given.at_once), serving=True))


if __name__ == "__main__":
    main()
