"""Rebuilding an empty Neo4j from the log, in turns with folding; and asking the graph as it was, in
turns with asking it as it is.

`python -m bench.rebuild --config FILE` prints what was measured as JSON.
"""

import argparse
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.operations import Fill
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS
from bench.company import TENANT
from bench.fold import append_history, fold
from bench.raw_loader import RawLoader

QUESTION = (
    "MATCH (t:Task) WHERE t.status = 'completed' RETURN t.status AS status, count(t) AS tasks"
)


class Rebuilds(msgspec.Struct, frozen=True):
    """Events a second: rebuilt and folded, by how many events there were. Seconds: of questions as
    of a moment when it is asked for first, when it is asked again, and of those now."""

    rates: dict[int, tuple[float, float]]
    as_of_first: list[float]
    as_of: list[float]
    present: list[float]


async def _rebuilt(platform: Platform, config: Config, count: int) -> float:
    """Seconds of filling the empty graph."""
    began = time.perf_counter()
    steps = [step async for step in platform.operate(Fill(config.database.uri))]
    assert steps[-1]["events"] == count
    return time.perf_counter() - began


async def _timed(ask: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began


async def rebuilds(config: Config, counts: list[int], turns: int, questions: int) -> Rebuilds:
    """Grow the history to each count in turn; a first turn with a new server does not count."""
    partition = partition_of(TENANT, config.kafka.num_partitions)
    backends = open_backends(config)
    platform = Platform(backends, process="bench", decides=False)
    rates: dict[int, tuple[float, float]] = {}
    there = 0
    try:
        await platform.start()
        with RawLoader(config.database) as loader:
            for count in counts:
                there += await append_history(backends, partition, count - there)
                found: list[tuple[float, float]] = []
                for _ in range(turns + (not rates)):
                    loader.clear()
                    folded = await fold(backends, partition)
                    loader.clear()
                    found.append((await _rebuilt(platform, config, there), folded))
                ours, beside = zip(*found[-turns:], strict=True)
                rates[there] = there / statistics.median(ours), there / statistics.median(beside)
        log = backends.log
        first, end = await log.bounds(EVENTS, partition)
        ends = [(await log.read(EVENTS, partition, at, 1))[0].timestamp for at in (first, end - 1)]
        return await _asked(platform, (ends[0], ends[1]), questions, rates)
    finally:
        await platform.stop()


async def _asked(
    platform: Platform,
    between: tuple[int, int],
    questions: int,
    rates: dict[int, tuple[float, float]],
) -> Rebuilds:
    chance = random.Random(1)
    caller = Caller()
    seconds: list[list[float]] = [[], [], []]

    async def ask(at: int | None) -> None:
        moment = None if at is None else to_datetime(at).isoformat()
        await platform.call("read_cypher", {"query": QUESTION, "at": moment}, caller)

    for _ in range(questions):
        at = chance.randint(*between)
        for times, moment in zip(seconds, (at, at, None), strict=True):
            times.append(await _timed(lambda moment=moment: ask(moment)))
    return Rebuilds(rates, *seconds)


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.rebuild", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 300_000])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--questions", type=int, default=40)
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    found = run(rebuilds(config, given.events, given.turns, given.questions), serving=True)
    print_json(msgspec.to_builtins(found))


if __name__ == "__main__":
    main()
