"""Rebuilding an empty Neo4j from the log, or folding into it; and asking the graph as it was, in
turns with asking it as it is.

`python -m bench.rebuild --config FILE rebuild` prints seconds, as JSON.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.operations import Fill
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS
from bench.company import TENANT
from bench.fold import append_history, fold

QUESTION = (
    "MATCH (t:Task) WHERE t.status = 'completed' RETURN t.status AS status, count(t) AS tasks"
)


class Asked(msgspec.Struct, frozen=True):
    """Seconds: of questions as of a moment when it is asked for first, when it is asked again, and
    of those now."""

    as_of_first: list[float]
    as_of: list[float]
    present: list[float]


class Installed:
    """The platform on an installation, whose tenant's history is in one partition."""

    def __init__(self, config: Config) -> None:
        self.partition = partition_of(TENANT, config.kafka.num_partitions)
        self.backends = open_backends(config)
        self._platform = Platform(self.backends, process="bench", decides=False)
        self._uri = config.database.uri

    async def __aenter__(self) -> Self:
        await self._platform.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._platform.stop()

    async def append(self, count: int) -> int:
        """Append a history of so many events, the first there is; of how many it is."""
        return await append_history(self.backends, self.partition, count)

    async def rebuild(self) -> float:
        """Seconds of filling the empty graph."""
        began = time.perf_counter()
        steps = [step async for step in self._platform.operate(Fill(self._uri))]
        _, end = await self.backends.log.bounds(EVENTS, self.partition)
        assert steps[-1]["events"] == end
        return time.perf_counter() - began

    async def fold(self) -> float:
        """Seconds of folding into the empty graph."""
        return await fold(self.backends, self.partition)

    async def ask(self, questions: int) -> Asked:
        """Of random moments between the first event and the last."""
        log = self.backends.log
        first, end = await log.bounds(EVENTS, self.partition)
        ends = [
            (await log.read(EVENTS, self.partition, at, 1))[0].timestamp for at in (first, end - 1)
        ]
        chance = random.Random(1)
        seconds: list[list[float]] = [[], [], []]
        for _ in range(questions):
            at = to_datetime(chance.randint(*ends)).isoformat()
            for times, moment in zip(seconds, (at, at, None), strict=True):
                began = time.perf_counter()
                await self._answered({"query": QUESTION, "at": moment})
                times.append(time.perf_counter() - began)
        return Asked(*seconds)

    async def _answered(self, asked: dict[str, Any]) -> None:
        """Repeat the question while the graph of its moment is being made."""
        while True:
            try:
                await self._platform.call("read_cypher", asked, Caller())
            except Unavailable:
                continue
            return


async def measured(config: Config, what: str, number: int) -> Any:
    """One of the measurements, by its name."""
    async with Installed(config) as installed:
        if what == "append":
            return await installed.append(number)
        if what == "ask":
            return await installed.ask(number)
        return await (installed.rebuild() if what == "rebuild" else installed.fold())


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.rebuild", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("what", choices=("append", "rebuild", "fold", "ask"))
    parser.add_argument("number", type=int, nargs="?", default=0, help="of events, or questions")
    given = parser.parse_args()
    collect_rarely()
    work = measured(load_config(given.config), given.what, given.number)
    print_json(msgspec.to_builtins(run(work, serving=True)))


if __name__ == "__main__":
    main()
