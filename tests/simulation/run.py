"""Simulate seeds: `python -m tests.simulation.run --seeds 500`. Exit code 1 where one fails."""

import argparse
import contextlib
import hashlib
import json
import logging
import math
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import kglite
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import Folded, fold, tenant_row
from agent_orchestration.pipeline import live_work, projector, waiting_tenants
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.rows import BatchRows
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP
from tests.simulation.bugs import Bug
from tests.simulation.faults import KINDS, SEEN
from tests.simulation.log import EPOCH, PARTITIONS
from tests.simulation.oracle import Feeds, Reference, Story, Violation, check, stuck
from tests.simulation.work import Clients
from tests.simulation.world import TENANTS, World

#: Seconds in which things go wrong, and the longest calm after them, in virtual time.
STORM_SECONDS = 60.0
CALM_SECONDS = 900.0
LAST_LINES = 60


class Result(msgspec.Struct):
    """What became of a seed. `digest` is of everything that the logs hold in the end."""

    seed: int
    digest: str
    steps: int
    commands: int
    events: int
    seen: dict[str, int]
    violation: str = ""
    trace: list[str] = msgspec.field(default_factory=list[str])


def simulate(seed: int, bug: Bug | None = None) -> Result:
    """Run one seed, maybe with a bug planted while it lives."""
    shared = Path("/dev/shm")
    folder = shared if shared.is_dir() else None
    state = random.getstate()
    random.seed(seed)
    with (
        tempfile.TemporaryDirectory(dir=folder) as path,
        # Whether a statement was quick depends on the machine.
        patch.object(kglite, "QUICK_SECONDS", 0.0),
        # What is only measured would change what happens next.
        patch.object(live_work, "EVERY_SECONDS", math.inf),
        patch.object(waiting_tenants, "LATER_SECONDS", math.inf),
        # Batches are seldom full otherwise, and only those are overlapped.
        _batches(small=seed % 2 == 1),
    ):
        world = World(seed, Path(path), {} if bug is None else bug.faults)
        try:
            return _simulate(
                world, Path(path), contextlib.nullcontext() if bug is None else bug.planted()
            )
        finally:
            random.setstate(state)


@contextlib.contextmanager
def _batches(*, small: bool) -> Generator[None]:
    """Small ones of the projector, which forgets tenants as soon as it may; or as they are."""
    with contextlib.ExitStack() as stack:
        for name, value in (("BATCH", 2), ("BREATH", 1), ("ROWS_BREATH", 1), ("CACHED_TENANTS", 1)):
            if small:
                stack.enter_context(patch.object(projector, name, value))
        yield


def _simulate(world: World, folder: Path, planted: AbstractContextManager[None]) -> Result:
    story = Story(world.broker)
    clients = Clients(world, story)
    violation = ""
    try:
        with planted:
            _live(world, story, clients)
        reference = check(world.broker, story, clients.told)
        world.faults.seen["lease_expired"] += reference.expired
        world.faults.seen["folded_twice"] += story.repeated
        _finish(world, _same_graph(world, reference, folder))
    except (Violation, PlatformError) as error:
        violation = str(error)
    finally:
        _end(world)
    records = world.broker.records
    return Result(
        seed=world.seed,
        digest=_digest(world),
        steps=world.loop.steps,
        commands=sum(len(records[COMMANDS, n]) for n in range(PARTITIONS)),
        events=sum(len(records[EVENTS, n]) for n in range(PARTITIONS)),
        seen=dict(world.faults.seen),
        violation=violation,
        trace=world.broker.trace if violation else [],
    )


def _live(world: World, story: Story, clients: Clients) -> None:
    loop = world.loop
    _finish(world, world.store.graph.start())
    background = [world.members.coordinate(), world.staff(), world.weather()]
    background += [clients.worker(tenant) for tenant in TENANTS]
    for work in background:
        loop.create_task(work)
    asked = [loop.create_task(clients.operator(tenant, STORM_SECONDS)) for tenant in TENANTS]
    loop.run_until(lambda: loop.now > STORM_SECONDS and all(one.done() for one in asked))
    for one in asked:
        one.result()
    world.say("calm")
    world.clear_up()
    looked, ends = [loop.now], loop.now + CALM_SECONDS

    def at_rest() -> bool:
        if loop.now < looked[0] + 10.0:
            return False
        looked[0] = loop.now
        story.follow()
        return loop.now > ends or (_settled(world) and not any(map(stuck, story.states.values())))

    loop.run_until(at_rest)


def _settled(world: World) -> bool:
    """Whether every command has been decided and committed, and every event published."""
    return Feeds(world.broker).complete() and all(
        world.broker.committed.get((GROUP, COMMANDS, n), 0)
        == len(world.broker.records[COMMANDS, n])
        for n in range(PARTITIONS)
    )


async def _same_graph(world: World, reference: Reference, folder: Path) -> None:
    """The graph is what folding the right history gives, once, and in order."""
    graph = KgliteGraph(folder / "reference.kgl", REGISTRY.entities.values())
    await graph.start()
    try:
        await _fold_into(graph, reference)
        expected = await fingerprint(graph, REGISTRY.entities.values())
        found = await fingerprint(world.store.graph, REGISTRY.entities.values())
    finally:
        await graph.stop()
    if expected != found:
        raise Violation("the graph is not what its history makes of it")


async def _fold_into(graph: KgliteGraph, reference: Reference) -> None:
    held = None
    for number, tenant in enumerate(sorted(reference.events)):
        state, rows = REGISTRY.new_state(tenant), BatchRows()
        folded: list[Folded] = [
            fold(REGISTRY, state, envelope) for envelope in reference.events[tenant]
        ]
        list(rows.add(tenant, folded))
        write = rows.write(0, held, (EPOCH, number + 1))
        write.nodes["Tenant"] = [tenant_row(state, next_due(state))]
        await graph.write(write)
        held = write.next


def _finish(world: World, work: Any) -> None:
    """Run something to its end, outside of all processes."""
    task = world.loop.create_task(work)
    world.loop.run_until(task.done)
    task.result()


def _end(world: World) -> None:
    """End what still runs, the killed and the paused included."""
    for process in (*(node.process for node in world.nodes), *world.workers):
        process.resume()
    world.broker.outage = world.store.outage = True
    for _ in range(100):
        left = [task for task in world.loop.tasks if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        ends = world.loop.now + 10.0
        world.loop.call_at(ends, lambda: None)
        world.loop.run_until(lambda ends=ends: world.loop.now >= ends)
    _finish(world, world.store.graph.stop())


def _digest(world: World) -> str:
    digest = hashlib.sha256(f"{world.loop.now} {world.loop.steps}".encode())
    for key in sorted(world.broker.records):
        for record in world.broker.records[key]:
            digest.update(repr(record).encode())
    return digest.hexdigest()[:16]


def _quietly(seed: int) -> Result:
    """Run one seed without the warnings that faults give rise to."""
    logging.disable(logging.CRITICAL)
    return simulate(seed)


def simulate_all(seeds: Iterable[int], jobs: int) -> Iterable[Result]:
    """Run many seeds in so many processes; results come as they are ready."""
    if jobs == 1:
        yield from map(_quietly, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_quietly, seeds, chunksize=5)


def summary(results: Iterable[Result], started: float) -> dict[str, Any]:
    """Totals of many seeds; `started` is of `time.monotonic`."""
    seen: Counter[str] = Counter(dict.fromkeys((*KINDS, *SEEN), 0))
    totals: Counter[str] = Counter(dict.fromkeys(("seeds", "steps", "commands", "events"), 0))
    for one in results:
        seen.update(one.seen)
        totals.update({"seeds": 1, "steps": one.steps, "commands": one.commands})
        totals["events"] += one.events
    seconds = round(time.monotonic() - started, 1)
    return {**totals, "seconds": seconds, "faults": {kind: seen[kind] for kind in (*KINDS, *SEEN)}}


def main(arguments: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m tests.simulation.run --first 7 --seeds 1"
    )
    parser.add_argument("--seeds", type=int, default=500, help="how many (500)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    results: list[Result] = []
    seeds = range(options.first, options.first + options.seeds)
    for result in simulate_all(seeds, min(options.jobs, len(seeds))):
        results.append(result)
        if result.violation:
            _print_history(result)
        if len(results) % 100 == 0:
            failed = sum(bool(one.violation) for one in results)
            print(f"{len(results)} of {len(seeds)} seeds, {failed} failed", file=sys.stderr)
    totals = summary(results, started)
    failed = sorted(one.seed for one in results if one.violation)
    print(json.dumps({**totals, "failed": failed}, indent=None if options.json else 1))
    return 1 if failed else 0


def _print_history(result: Result) -> None:
    """What led to a violation."""
    print(f"seed {result.seed}: {result.violation}", *result.trace[-LAST_LINES:], sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
