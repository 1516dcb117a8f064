"""A graph of its own, folded from the log as far as somebody wants it."""

import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from agent_orchestration.backends.graph import Graph, GraphWrite, load_statements
from agent_orchestration.backends.graph.contents import labels, pages, tenant_of
from agent_orchestration.backends.log import Log, Stamp
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.entities import node_id
from agent_orchestration.core.envelope import EventEnvelope, Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.folding import tenant_row
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.forks import LeftOut, forks_of
from agent_orchestration.pipeline.histories import Histories, batches, event_of
from agent_orchestration.pipeline.loading import load_clock, load_tenant
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)
#: What a fold may say of an event on a branch that it is not on.
FORKED = frozenset({"divergence", "broken_chain", "gap", "other_rules"})


class _Past(WrappedLog):
    """The events of a log before `ends`, by partition; nothing can be appended."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.ends: dict[int, int] = {}

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:  # noqa: ARG002
        """What a projector appends is in `dead_letters` since it was read for the first time."""
        return []

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        limit = min(limit, self.ends[partition] - offset)
        return await super().read(topic, partition, offset, limit) if limit > 0 else []


class Scratch:
    """Folds the log's events into `graph`, which nobody else writes. Where a tenant's history
    forks, the longest branch is folded; `left_out` has the events of the others, but for those that
    the live graph leaves out already."""

    def __init__(self, services: Services, graph: Graph) -> None:
        self.graph = graph
        self.left_out: dict[str, LeftOut] = {}
        self._log, self._live = services.log, services.graph
        self._registry = services.registry
        self._past = _Past(services.log)
        self._services = replace(services, log=self._past, graph=graph, progress=Progress())
        self._projectors: dict[int, Projector] = {}

    async def fold(self, partition: int, end: int) -> AsyncGenerator[int, None]:
        """Bring all events of a partition before `end` into the graph; yields how many records came
        with each batch, and first how many it has already; less than none where it has to go back.
        Raises `Rejected` where the log lacks events that the graph cannot be made without, and
        `Corrupt` where nothing says which of two events is right."""
        self._past.ends[partition] = end
        try:
            projector = self._projectors.get(partition)
            if projector is None:
                await self._refuse_incomplete(partition)
                projector = Projector(self._services, partition)
                await projector.seek()
                self._projectors[partition] = projector
                first, _ = await self._past.bounds(EVENTS, partition)
                if already := projector.position[1] - first:
                    yield already
            while count := await self._step(projector, partition):
                yield count
        except Corrupt as error:
            if error.code != "gap":
                raise
            raise _incomplete(error.reason) from error

    async def _step(self, projector: Projector, partition: int) -> int:
        """The next batch, once it is known what is left out of it."""
        before = projector.position[1]
        try:
            await projector.step()
        except Corrupt as error:
            if error.code not in FORKED or not await self._forked(partition):
                raise
            await projector.seek()
            return (projector.position[1] - before) or await self._step(projector, partition)
        return projector.position[1] - before

    async def look_ahead(self, partition: int) -> None:
        """Find the forks in what the log has beyond that, too; then `fold` brings the graph to
        where it was. Raises what `fold` does."""
        histories = Histories()
        left_out: dict[str, frozenset[str] | None] = {}
        begin = self._projectors[partition].position[1]
        async for records in batches(self._log, EVENTS, partition, begin):
            for event in filter(None, map(event_of, records)):
                if event.tenant not in left_out:
                    state = TenantState(event.tenant)
                    await load_clock(self.graph, state)
                    histories.last[event.tenant] = state.seq, state.prev
                    left_out[event.tenant] = None if state.quarantined else state.left_out
                passed = left_out[event.tenant]
                if passed is None or event.digest in passed:
                    continue
                if not await self._goes_on(event, histories):
                    if await self._forked(partition):
                        await self._projectors[partition].seek()
                    return

    async def _goes_on(self, event: EventEnvelope, histories: Histories) -> bool:
        """Whether it may come after what is in the graph, and what came since."""
        try:
            return histories.follow(event) or await self._has(event.tenant, event.seq, event.digest)
        except Corrupt:
            return False

    async def _has(self, tenant: str, seq: int, digest: str) -> bool:
        event_id = node_id(tenant, str(seq))
        rows = await self.graph.query(load_statements.DIGESTS, {"ids": [event_id]})
        return any(row["digest"] == digest for row in rows)

    async def _forked(self, partition: int) -> bool:
        """Look for forks in all of the log, and have the shorter branches left out; whether there
        were any that the graph did not know of. Raises `Corrupt` where branches are equally long,
        and nothing else is left out."""
        found, undecided = await forks_of(self._log, partition)
        by_tenant: defaultdict[str, list[LeftOut]] = defaultdict(list)
        for one in found:
            by_tenant[one.tenant].append(one)
        changed = [await self._leave_out(partition, *both) for both in by_tenant.items()]
        if undecided and not any(changed):
            raise Corrupt("divergence", "; ".join(undecided))
        return any(changed)

    async def _leave_out(self, partition: int, tenant: str, left_out: Sequence[LeftOut]) -> bool:
        """Store what a tenant's history leaves out; where the graph has some of it, the tenant
        begins anew. Whether that changed anything."""
        state = await load_tenant(self.graph, self._registry, tenant, decides=False)
        digests = frozenset(one.digest for one in left_out)
        if state.quarantined or digests == state.left_out:
            return False
        await self._tell(tenant, left_out)
        held = await self.graph.position(partition)
        first, _ = await self._log.bounds(EVENTS, partition)
        write = GraphWrite(partition, held, held or (self._log.epoch, first))
        if any([await self._has(tenant, one.seq, one.digest) for one in left_out]):
            state = self._registry.new_state(tenant, decides=False)
            write.next = self._log.epoch, first
            write.removed = await self._nodes(tenant)
        state.left_out = digests
        write.nodes["Tenant"] = [tenant_row(state, next_due(state))]
        await self.graph.write(write)
        return True

    async def _tell(self, tenant: str, left_out: Sequence[LeftOut]) -> None:
        live = TenantState(tenant)
        await load_clock(self._live, live)
        for one in left_out:
            if one.digest not in live.left_out and one.digest not in self.left_out:
                logger.warning(
                    "tenant %s has two different events %d: that at %s is left out, for the history"
                    " goes on from that at %s",
                    *(tenant, one.seq, one.place, one.kept),
                )
                self.left_out[one.digest] = one

    async def _nodes(self, tenant: str) -> dict[str, list[str]]:
        """The ids of a tenant's nodes, by label, but for its own."""
        return {
            label: [
                one
                async for page in pages(self.graph, label)
                for one in page
                if tenant_of((label, one)) == tenant
            ]
            for label in labels(self._registry.entities.values())
            if label != "Tenant"
        }

    async def fold_all(
        self, ends: Mapping[int, int], phase: str
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same for all partitions; yields how far it is, as `core.dispatch.Dispatcher` says."""
        done, total = 0, sum(ends.values())
        for number, end in ends.items():
            async for count in self.fold(number, end):
                done += count
                yield {"phase": phase, "done": done, "total": total}

    async def _refuse_incomplete(self, partition: int) -> None:
        first, _ = await self._past.bounds(EVENTS, partition)
        if first and await self.graph.position(partition) is None:
            raise _incomplete(f"{EVENTS}/{partition} begins with record {first}")


async def ends_of(log: Log) -> dict[int, int]:
    """Where each partition of `events` ends by now."""
    numbers = range(log.topics()[EVENTS].partitions)
    return {number: (await log.bounds(EVENTS, number))[1] for number in numbers}


def _incomplete(why: str) -> Rejected:
    return Rejected(
        "history_incomplete",
        f"the graph cannot be made from this log: {why}; bring the missing events back from a"
        " backup",
    )
