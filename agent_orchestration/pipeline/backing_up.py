"""Backing the graph up, and restoring it."""

import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from agent_orchestration.backends.backups import Backups, Manifest
from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.core.errors import Corrupt, NotFound
from agent_orchestration.pipeline.scratch import Scratch, ends_of
from agent_orchestration.pipeline.services import Services

logger = logging.getLogger(__name__)


async def back_up(
    services: Services, others: OtherGraphs, backups: Backups
) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.dispatch.Dispatcher` and `core.operations.Backup`.

    Made from the last backup and the log, so nobody is disturbed, and all of it is as of one
    position. One graph at a time is in memory. Raises `Rejected` where the log lacks events and
    there is no backup to begin with.
    """
    started = time.monotonic()
    ends = await ends_of(services.log)
    made: Manifest | None = None
    async with _scratch(others, "backup") as (graph, empty):
        async for step in _folded(services, backups, graph, ends, empty):
            yield step
        lines = 0
        positions, now = [*ends.values()], services.clock()
        async for found in backups.write(graph, services.log.epoch, positions, now):
            if isinstance(found, Manifest):
                made = found
            else:
                lines += found
                yield {"phase": "writing", "done": lines, "total": None}
    assert made is not None
    async with _scratch(others, "backup-restored") as (graph, _):
        async for step in _verified(services, backups, made, graph):
            yield step
    await backups.keep(made)
    yield {
        "name": made.name,
        "place": backups.store.url,
        "events": sum(ends.values()),
        "lines": lines,
        "fingerprint": made.fingerprint,
        "pruned": await backups.prune(services.clock()),
        "seconds": round(time.monotonic() - started, 3),
    }


@asynccontextmanager
async def _scratch(
    others: OtherGraphs, purpose: str
) -> AsyncGenerator[tuple[Graph, Callable[[], Awaitable[None]]], None]:
    """An empty graph for a while, and what empties it again."""
    name = f"{purpose}-{os.getpid()}"  # other processes may use the same folder
    others.remove_scratch(name)
    graph = await others.open_scratch(name)

    async def empty() -> None:
        await graph.stop()
        others.remove_scratch(name)
        await graph.start()

    try:
        yield graph, empty
    finally:
        await graph.stop()
        others.remove_scratch(name)


async def _verified(
    services: Services, backups: Backups, made: Manifest, graph: Graph
) -> AsyncGenerator[dict[str, Any], None]:
    """Load the files into an empty graph. Raises `Corrupt` where that is another one than they were
    made of."""
    done, lines = 0, sum(file.lines for file in made.files)
    async for count in backups.load(made, graph):
        done += count
        yield {"phase": "verifying", "done": done, "total": lines}
    if await fingerprint(graph, services.registry.entities.values()) != made.fingerprint:
        reason = f"what was restored from {made.name} is another graph: the backup is not kept"
        raise Corrupt("backup_differs", reason)


async def _folded(
    services: Services,
    backups: Backups,
    graph: Graph,
    ends: Mapping[int, int],
    empty: Callable[[], Awaitable[None]],
) -> AsyncGenerator[dict[str, Any], None]:
    """Bring an empty graph to where the log ends, from the last backup on if there is one."""
    for base in await backups.bases(services.log.epoch, [*ends.values()]):
        done = 0
        try:
            async for count in backups.load(base, graph):
                done += count
                yield {"phase": "loading the last one", "done": done, "total": None}
            break
        except (Corrupt, NotFound) as error:
            logger.warning("backup %s is left out: %s", base.name, error)
            await empty()
    async for step in Scratch(services, graph).fold_all(ends, "folding"):
        yield step


async def list_backups(backups: Backups) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.operations.ListBackups`."""
    found: list[dict[str, Any]] = []
    for one in await backups.all():
        told = msgspec.to_builtins(one)
        lines = sum(file.lines for file in one.files)
        names = ("name", "created", "version", "epoch", "positions", "fingerprint")
        found.append({name: told[name] for name in names} | {"lines": lines})
    yield {"place": backups.store.url, "backups": found}


async def restore(
    services: Services, backups: Backups, name: str | None, graph: Graph
) -> AsyncGenerator[dict[str, Any], None]:
    """Load a backup into a graph that is open, empty, and nobody's; for the yields see
    `core.operations.Restore`. Raises what `Backups.named` and `Backups.load` raise."""
    started = time.monotonic()
    made = await backups.named(name)
    done, lines = 0, sum(file.lines for file in made.files)
    async for count in backups.load(made, graph):
        done += count
        yield {"phase": "restoring", "done": done, "total": lines}
    found = await fingerprint(graph, services.registry.entities.values())
    yield {
        "name": made.name,
        "lines": lines,
        "fingerprint": found,
        "equal": found == made.fingerprint,
        "seconds": round(time.monotonic() - started, 3),
    }
