"""Backing the graph up, and restoring it."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from agent_orchestration.backends.backups import MANIFEST, Backups, Manifest
from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.pipeline.scratch import Scratch
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

NAMES = "backup", "backup-restored"


async def back_up(
    services: Services, others: OtherGraphs, backups: Backups
) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.dispatch.Dispatcher` and `core.operations.Backup`.

    Made from the last backup and the log, so nobody is disturbed, and all of it is as of one
    position. Raises `Rejected` where the log lacks events and there is no backup to begin with.
    """
    started = time.monotonic()
    log = services.log
    numbers = range(log.topics()[EVENTS].partitions)
    ends = [(await log.bounds(EVENTS, number))[1] for number in numbers]
    for name in NAMES:
        others.remove_scratch(name)
    graph, restored = [await others.open_scratch(name) for name in NAMES]
    made: Manifest | None = None
    lines = 0
    try:
        async for step in _folded(services, backups, graph, ends):
            yield step
        async for found in backups.write(graph, log.epoch, ends, services.clock()):
            if isinstance(found, Manifest):
                made = found
            else:
                lines += found
                yield {"phase": "writing", "done": lines, "total": None}
        assert made is not None
        done = 0
        async for count in backups.load(made, restored):
            done += count
            yield {"phase": "verifying", "done": done, "total": lines}
        same = await fingerprint(restored, services.registry.entities.values())
    finally:
        for name, one in zip(NAMES, (graph, restored), strict=True):
            await one.stop()
            others.remove_scratch(name)
    if same != made.fingerprint:
        await backups.store.remove(f"{made.name}/{MANIFEST}")
        reason = f"what was restored from {made.name} is another graph: the backup is not kept"
        raise Corrupt("backup_differs", reason)
    yield {
        "name": made.name,
        "place": backups.store.url,
        "events": sum(ends),
        "lines": lines,
        "fingerprint": made.fingerprint,
        "pruned": await backups.prune(services.clock()),
        "seconds": round(time.monotonic() - started, 3),
    }


async def _folded(
    services: Services, backups: Backups, graph: Graph, ends: Sequence[int]
) -> AsyncGenerator[dict[str, Any], None]:
    """Bring an empty graph to where the log ends, from the last backup on if there is one."""
    done = 0
    base = await backups.base(services.log.epoch, ends)
    if base is not None:
        async for count in backups.load(base, graph):
            done += count
            yield {"phase": "loading the last one", "done": done, "total": None}
    scratch, done, total = Scratch(services, graph), 0, sum(ends)
    for number, end in enumerate(ends):
        async for count in scratch.fold(number, end):
            done += count
            yield {"phase": "folding", "done": done, "total": total}


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
