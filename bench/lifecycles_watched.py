"""Lifecycles on Kafka and Neo4j with all that is told of them, in turns with nothing told.

`python -m bench.lifecycles_watched --config FILE` prints the turns as JSON. Told are measures, read
as often as Prometheus does; lines of the log from INFO on, as JSON into a file; and spans, as many
as are usual, to a collector in this process.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from unittest.mock import patch

import msgspec

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.config import Config
from agent_orchestration.config_tracing import Tracing
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.messages import Command, CommandResult
from agent_orchestration.logs import LOGGER, configure_logging
from agent_orchestration.measures import Count, Distribution, Gauge
from agent_orchestration.metrics import exposed
from agent_orchestration.pipeline.spans import tool_call
from agent_orchestration.tracing_export import exported
from bench.lifecycles import Client, Rate, lifecycles, register
from bench.turns import print_turns
from tests.collector import collecting

SCRAPE_SECONDS = 5.0


class Turn(msgspec.Struct, frozen=True):
    """The same with everything told and with nothing, one after the other; how many spans came."""

    on: Rate
    off: Rate
    spans: int


class Called:
    """A bus whose commands are sent from within calls of tools, as servers send them."""

    def __init__(self, platform: Platform) -> None:
        self._bus = platform.bus

    async def submit(self, command: Command, caller: Caller) -> CommandResult:
        """See `CommandBus`."""
        with tool_call(type(command).__name__, caller) as traced:
            return await self._bus.submit(command, traced)


@contextlib.contextmanager
def nothing_told() -> Generator[None]:
    """Meanwhile nothing is counted, and nothing is logged."""

    def ignored(*_: object, **__: object) -> None:
        pass

    @contextlib.contextmanager
    def unmeasured(*_: object) -> Generator[None]:
        yield

    counting = ((Count, "add"), (Gauge, "set"), (Distribution, "observe"))
    timing = ((Gauge, "raised"), (Distribution, "timed"))
    logger = logging.getLogger(LOGGER)
    with contextlib.ExitStack() as stack:
        for cls, name in counting:
            stack.enter_context(patch.object(cls, name, ignored))
        for cls, name in timing:
            stack.enter_context(patch.object(cls, name, unmeasured))
        stack.enter_context(patch.object(logger, "disabled", True))
        yield


@contextlib.asynccontextmanager
async def all_told(log: Path, endpoint: str) -> AsyncGenerator[None]:
    """Meanwhile everything is told to somebody."""

    async def scrape() -> None:
        while True:
            exposed("")
            await asyncio.sleep(SCRAPE_SECONDS)

    with log.open("a", encoding="utf-8") as file:
        configure_logging("INFO", file)
        scraping = asyncio.create_task(scrape())
        try:
            with exported(Tracing(endpoint=endpoint), "dev", "kafka"):
                yield
        finally:
            scraping.cancel()


async def turns(
    config: Config, names: Sequence[str], clients: int, count: int, times: tuple[int, int]
) -> list[Turn]:
    """So many turns, after so many that are not counted: `times` is (not counted, counted)."""
    warm, counted = times
    platform = Platform(open_backends(config), process=process_name())
    log = Path(config.data) / "bench.log"
    try:
        await platform.start()
        log.parent.mkdir(parents=True, exist_ok=True)
        made = await register(platform, clients, names)
        found = [
            await _turn(platform, made, count, log, on_first=number % 2 == 0)
            for number in range(warm + counted)
        ]
    finally:
        await platform.stop()
    return found[warm:]


async def _turn(
    platform: Platform, clients: Sequence[Client], count: int, log: Path, *, on_first: bool
) -> Turn:
    """Both sides; whoever comes first has the smaller graph, so they change places."""
    bus = Called(platform)
    rates: dict[bool, Rate] = {}
    spans = 0
    for on in (on_first, not on_first):
        if on:
            with collecting() as collector:
                async with all_told(log, collector.url):
                    rates[on] = await lifecycles(platform, clients, count, bus)
                spans = len(collector.spans())
        else:
            with nothing_told():
                rates[on] = await lifecycles(platform, clients, count, bus)
    return Turn(rates[True], rates[False], spans)


if __name__ == "__main__":
    print_turns("bench.lifecycles_watched", __doc__, turns)
