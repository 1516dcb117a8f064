"""The graph as the log says it must be: folded anew beside the live one, compared, repaired."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from agent_orchestration import measures
from agent_orchestration.backends.graph import (
    CheckpointMoved,
    Graph,
    GraphWrite,
    Position,
    WriteRefused,
    load_statements,
)
from agent_orchestration.backends.graph.contents import SECONDS, Key, tenant_of
from agent_orchestration.backends.graph.differences import (
    KINDS,
    Changes,
    Difference,
    changes,
    compared,
)
from agent_orchestration.backends.log import log_lost
from agent_orchestration.core.errors import Busy
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.histories import batches, event_of
from agent_orchestration.pipeline.loading import load_clock
from agent_orchestration.pipeline.ownership import Ownership
from agent_orchestration.pipeline.partitions import one_back, partition_of
from agent_orchestration.pipeline.scratch import Scratch, ends_of
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)
#: Of more differences only the number is told.
MOST_DIFFERENCES = 100
#: So often a tenant is compared again because its partition went on meanwhile, after pauses that
#: are each so much longer than the one before.
TRIES = 30
PAUSE_SECONDS = 0.002
#: So often everything is compared while something had to be repaired.
PASSES = 3
LOOK_SECONDS = 0.1


class Rebuilding:
    """One comparison of the live graph with what the log says; `repairs` what differs.

    Nobody has to stop: readers see a tenant before its repair or after it, and writers find that
    their partition was moved. `graph` is an embedded one for what the log says; what it has already
    is not folded again. `owned` are the partitions of this process. `repaired` has those whose
    owners have to load anew.
    """

    def __init__(
        self, services: Services, graph: Graph, owned: Ownership, *, repairs: bool
    ) -> None:
        self._services = services
        self._log = services.log
        self._live = services.graph
        self._graph = graph
        self._scratch = Scratch(services, graph)
        self._owned = owned
        self._repairs = repairs
        self._entities = tuple(services.registry.entities.values())
        self._numbers = range(services.log.topics()[EVENTS].partitions)
        #: Where the log ended, of partitions that the live graph has from another log.
        self._adopted: dict[int, int] = {}
        #: Partitions with tenants that could not be repaired.
        self._unsettled: set[int] = set()
        self._repairs_made = 0
        self._counts = Counter[str]()
        self._told: list[Difference] = []
        self.repaired: set[int] = set()

    async def run(self) -> AsyncGenerator[dict[str, Any], None]:
        """For the yields see `core.dispatch.Dispatcher` and `core.operations.Rebuild`. Raises
        `Rejected` where the log lacks events, `LogLost` where the live graph has more than it, and
        `Busy` where a partition never stood still long enough to compare a tenant."""
        started = time.monotonic()
        if self._repairs:
            async for step in self._filled():
                yield step
        ends = {number: await self._end(number) for number in self._numbers}
        async for step in self._scratch.fold_all(ends, "folding"):
            yield step
        for number, end in ends.items():
            await self._scratch.look_ahead(number)
            async for _ in self._scratch.fold(number, end):
                pass
        for _ in range(PASSES):
            made = self._repairs_made
            async for step in self._compared():
                yield step
            if self._repairs_made == made:
                break  # else what was folded on a damaged tenant meanwhile may be wrong, too
        await self._adopt()
        yield self._answer(sum(ends.values()), time.monotonic() - started)

    async def _compared(self) -> AsyncGenerator[dict[str, Any], None]:
        """One pass over everything."""
        suspects = defaultdict[str, list[Key]](list)
        nodes = 0
        async for count, keys in compared(self._graph, self._live, self._entities):
            nodes += count
            for key in keys:
                suspects[tenant_of(key)].append(key)
            yield {"phase": "comparing", "done": nodes, "total": None}
        self._counts["nodes"] = nodes
        for done, tenant in enumerate(sorted(suspects.keys() - await self._set_aside()), 1):
            await self._settle(tenant, suspects[tenant])
            yield {"phase": "repairing", "done": done, "total": len(suspects)}

    def _answer(self, events: int, seconds: float) -> dict[str, Any]:
        found = {kind: self._counts[kind] for kind in KINDS}
        return {
            "equal": not any(found.values()),
            "repaired": self._repairs,
            "events": events,
            "nodes": self._counts["nodes"],
            **found,
            "set_aside": self._counts["set_aside"],
            "left_out": msgspec.to_builtins([*self._scratch.left_out.values()]),
            "differences": msgspec.to_builtins(self._told),
            "seconds": round(seconds, 3),
        }

    async def _filled(self) -> AsyncGenerator[dict[str, Any], None]:
        """Bring what an empty live graph lacks straight into it, or see how it is brought."""
        numbers = [n for n in self._numbers if await self._live.position(n) is None]
        ends = {number: (await self._log.bounds(EVENTS, number))[1] for number in numbers}
        scratch = Scratch(self._services, self._live)
        scratch.left_out = self._scratch.left_out
        done, total = 0, sum(ends.values())
        for number, end in ends.items():
            before = done
            while self._owned.folds(number) and done < before + end:
                await asyncio.sleep(LOOK_SECONDS)
                held = await self._live.position(number)
                done = before + min(held[1] if held else 0, end)
                yield {"phase": "filling", "done": done, "total": total}
            if done == before:
                async for count in scratch.fold(number, end):
                    done += count
                    yield {"phase": "filling", "done": done, "total": total}

    async def _end(self, number: int) -> int:
        """Up to where the partition is in the live graph; where that was made from another log,
        all of it."""
        if number in self._adopted:
            return self._adopted[number]
        first, end = await self._log.bounds(EVENTS, number)
        held = await self._live.position(number)
        if held is None:
            return end
        if held[0] != self._log.epoch:
            self._adopted[number] = end
            return end
        if held[1] > end:
            raise log_lost(EVENTS, number, held[1], first, end)
        # Repairs leave the position before events that are there, until the owner comes by.
        clocks: dict[str, TenantState] = {}
        async for records in batches(self._log, EVENTS, number, held[1]):
            for record in records:
                event = event_of(record)
                if event is None:
                    continue
                if event.tenant not in clocks:
                    clocks[event.tenant] = TenantState(event.tenant)
                    await load_clock(self._live, clocks[event.tenant])
                clock = clocks[event.tenant]
                if event.seq > clock.seq and event.digest not in clock.left_out:
                    return record.offset
        return end

    async def _set_aside(self) -> set[str]:
        """Tenants that cannot be compared: what there is of them is no prefix of their history."""
        found: set[str] = set()
        for graph in (self._graph,) if self._repairs else (self._graph, self._live):
            rows = await graph.query(load_statements.TENANTS, {}, seconds=SECONDS)
            found |= {row["id"] for row in rows if row["quarantined"]}
        self._counts["set_aside"] = len(found)
        self._unsettled |= {partition_of(tenant, len(self._numbers)) for tenant in found}
        return found

    async def _settle(self, tenant: str, keys: Sequence[Key]) -> None:
        """Compare these nodes of a tenant again, at one position of its partition, and repair what
        still differs: it may have changed while everything was compared."""
        number = partition_of(tenant, len(self._numbers))
        if not await self._settled(number, tenant, keys):
            async with self._owned.paused(number):
                if not await self._settled(number, tenant, keys):
                    reason = f"partition {number} never stood still: repeat it later"
                    raise Busy("never_still", reason, retry_after=60)

    async def _settled(self, number: int, tenant: str, keys: Sequence[Key]) -> bool:
        """Whether the partition stood still for long enough."""
        for tries in range(TRIES):
            await asyncio.sleep(tries * PAUSE_SECONDS)
            held = await self._live.position(number)
            async for _ in self._scratch.fold(number, await self._end(number)):
                pass
            found = await changes(self._graph, self._live, self._entities, keys)
            if await self._live.position(number) != held:
                # What was equal at any position is right, whatever it was before or is now.
                keys = found.keys
                continue
            try:
                if found.differences and self._repairs:
                    await self._repair(number, held, found)
                self._count(found)
            except CheckpointMoved:
                continue
            except WriteRefused as error:
                logger.warning("tenant %s is not repaired: %s", tenant, error)
                self._counts["set_aside"] += 1
                self._unsettled.add(number)
            return True
        return False

    async def _repair(self, number: int, held: Position | None, found: Changes) -> None:
        """The owner finds the partition one event back, and loads it anew."""
        first, end = await self._log.bounds(EVENTS, number)
        if held is None and end > first:
            raise CheckpointMoved("checkpoint_moved", f"partition {number} is not filled yet")
        following = held or (self._log.epoch, first)
        if following[0] == self._log.epoch:
            following = await one_back(self._log, number, following)
        await self._live.write(found.write(number, held, following))
        self.repaired.add(number)
        self._repairs_made += 1

    async def _adopt(self) -> None:
        """What was made from another log has become this log's, where all of it was repaired."""
        for number in self._adopted.keys() - self._unsettled:
            end = self._adopted[number]
            held = await self._live.position(number)
            if self._repairs and held is not None and held[0] != self._log.epoch:
                await self._live.write(GraphWrite(number, held, (self._log.epoch, end)))
                self.repaired.add(number)

    def _count(self, found: Changes) -> None:
        told = found.told()
        self._counts.update(one.what for one in told)
        measures.DIVERGENCES.add(by=len(told))
        self._told += told[: MOST_DIFFERENCES - len(self._told)]


async def fill(services: Services, graph: Graph) -> AsyncGenerator[dict[str, Any], None]:
    """Fold the log into a graph that is empty, or was filled from it before; for the yields see
    `core.dispatch.Dispatcher` and `core.operations.Fill`. Raises `Corrupt` for a graph of another
    log."""
    started = time.monotonic()
    await graph.start()
    try:
        done = 0
        async for step in Scratch(services, graph).fold_all(await ends_of(services.log), "filling"):
            done = step["done"]
            yield step
        yield {"events": done, "seconds": round(time.monotonic() - started, 3)}
    finally:
        await graph.stop()
