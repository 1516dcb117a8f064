"""The projector of one partition: events -> evolve -> graph. The only writer of the graph."""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agent_orchestration import measures
from agent_orchestration.backends.graph import (
    CheckpointMoved,
    GraphWrite,
    Position,
    WriteRefused,
    load_statements,
)
from agent_orchestration.core.entities import node_id
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.core.folding import Folded, fold, tenant_row
from agent_orchestration.core.state import TenantState
from agent_orchestration.logs import event_fields
from agent_orchestration.pipeline.dead_letters import send_dead_letter
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.loading import load_tenant
from agent_orchestration.pipeline.outcome_lines import log_folded
from agent_orchestration.pipeline.partitions import graph_position
from agent_orchestration.pipeline.rows import BatchRows
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)
BATCH = 1000
BREATH = 10
"""So many events are folded before others get their turn: less than half a millisecond."""
ROWS_BREATH = 50
"""The same for making rows."""
TURNS = 8
"""Of the event loop: so many pass between an answer of the graph and the next statement, which must
not wait for us in each of them while the batch before is on its way."""
IDLE_SECONDS = 60.0
CACHED_TENANTS = 1000


class Batch(NamedTuple):
    """Records, their events by tenant, folded in memory, and what brings them into the graph."""

    records: Sequence[StoredRecord]
    folded: dict[str, list[Folded]]
    write: GraphWrite


class Projector:
    """Folds a partition's events into the graph, one transaction per batch.

    `position` is what the graph has; `published` what the feeds have, as far as is known here: it
    is stored with the next batch, or when nothing comes for a while. `on_quarantine` is told the
    tenant that was set aside, `on_folded` what the graph took, by tenant, and since when that was
    on its way, in nanoseconds since the epoch.
    """

    def __init__(self, services: Services, partition: int) -> None:
        self._log = services.log
        self._graph = services.graph
        self._registry = services.registry
        self._progress = services.progress
        self._clock = services.clock
        self._partition = partition
        self._states: dict[str, TenantState] = {}
        self._held: Position | None = None
        self.position: Position = (services.log.epoch, 0)
        self.published: Position | None = None
        #: Malformed records before this offset are in `dead_letters` already.
        self._looked_at = 0
        self._moved = asyncio.Event()
        #: Folded in memory while the batch before it was written.
        self._ahead: Batch | None = None
        #: The folded events of the batch that is being written, by tenant.
        self._on_its_way: Mapping[str, Sequence[Folded]] = {}
        self.on_quarantine: Callable[[str], None] = lambda _tenant: None
        self.on_folded: Callable[[Mapping[str, Sequence[Folded]], int], None] = lambda _f, _t: None

    async def run(self) -> None:
        """Fold for ever. Raises `Corrupt` where going on would be wrong."""
        await self.seek()
        while True:
            if await self.step():
                continue
            came = await self._log.wait(EVENTS, self._partition, self.position[1], IDLE_SECONDS)
            if not came:
                await self._safely(self._store_published)

    async def seek(self) -> None:
        """Take the position from the graph; what is in memory is dropped."""
        self._states.clear()
        self._ahead = None
        self._held, offset, _ = await graph_position(self._log, self._graph, self._partition)
        self._at(offset)

    async def step(self) -> int:
        """Bring one batch into the graph; the number of records it had.

        While the graph takes a full batch, the next one is folded in memory.
        """
        batch = self._ahead or await self._next_batch(self.position[1])
        self._ahead = None
        if batch is None:
            return 0
        await self._safely(lambda: self._fold(batch))
        return len(batch.records)

    async def _safely(self, write: Callable[[], Awaitable[None]]) -> None:
        """Go on from where another projector is where there is one."""
        try:
            await write()
        except CheckpointMoved:
            logger.warning("another projector moved partition %d on", self._partition)
            passed = self.position[1]
            await self.seek()
            if self.position[1] < passed:
                # Whatever this process has in memory came from what was repaired.
                reason = f"partition {self._partition} of the graph was repaired: load it anew"
                raise Unavailable("graph_repaired", reason) from None
            await self._announce(passed)

    async def _store_published(self) -> None:
        await self._write(GraphWrite(self._partition, self._held, self.position))

    async def _announce(self, offset: int) -> None:
        """From there on another projector folded: load its tenants, so that whoever waits here
        for one of those events learns that the graph has it."""
        while offset < self.position[1]:
            records = await self._log.read(EVENTS, self._partition, offset, BATCH)
            if not records:
                return  # we were not to read as far as the other one did
            for record in records:
                if record.offset < self.position[1] and "ce_tenant" in record.headers:
                    await self._state(record.headers["ce_tenant"])
            offset = records[-1].offset + 1

    async def passed(self, offset: int) -> None:
        """Wait until every event before `offset` is in the graph."""
        while self.position[1] < offset:
            self._moved.clear()
            await self._moved.wait()

    def _at(self, offset: int) -> None:
        self.position = (self._log.epoch, offset)
        self._looked_at = max(self._looked_at, offset)
        self._moved.set()

    async def _fold(self, batch: Batch) -> None:
        try:
            await self._commit(batch)
        except WriteRefused as error:
            self._states.clear()
            records = batch.records
            if len(records) == 1:
                await self._quarantine(records[0], error)
                return
            middle = len(records) // 2
            await self._fold(await self._folded(records[:middle]))
            await self._fold(await self._folded(records[middle:]))

    async def _next_batch(self, offset: int) -> Batch | None:
        records = await self._log.read(EVENTS, self._partition, offset, BATCH)
        return await self._folded(records) if records else None

    async def _folded(self, records: Sequence[StoredRecord]) -> Batch:
        """Fold them in memory, which is then ahead of the graph."""
        folded: dict[str, list[Folded]] = {}
        for number, record in enumerate(records, 1):
            await self._fold_one(record, folded)
            if number % BREATH == 0:
                await self._give_way()
        rows = BatchRows()
        steps = (rows.add(tenant, its) for tenant, its in folded.items())
        for number, _ in enumerate(itertools.chain.from_iterable(steps), 1):
            if number % ROWS_BREATH == 0:
                await self._give_way()
        states = [self._states[tenant] for tenant in folded]
        write = rows.write(self._partition, None, (self._log.epoch, records[-1].offset + 1))
        write.nodes["Tenant"] = [tenant_row(state, next_due(state)) for state in states]
        return Batch(records, folded, write)

    async def _give_way(self) -> None:
        for _ in range(TURNS if self._on_its_way else 1):
            await asyncio.sleep(0)

    async def _commit(self, batch: Batch) -> None:
        self._on_its_way = batch.folded
        ahead: asyncio.Task[Batch | None] | None = None
        if len(batch.records) == BATCH:
            # There is more. Smaller batches are not overlapped: what comes meanwhile is to be one.
            ahead = asyncio.create_task(self._next_batch(batch.write.next[1]))
        began = time.time_ns()
        try:
            batch.write.held = self._held
            with measures.FOLD_SECONDS.timed():
                await self._write(batch.write)
        except BaseException:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
            raise
        finally:
            self._on_its_way = {}
        self._count(batch)
        self.on_folded(batch.folded, began)
        for tenant, its in batch.folded.items():
            self._evict(self._states[tenant], its)
            self._progress.advance(tenant, its[-1].envelope.seq)
        self._ahead = await ahead if ahead is not None else None
        self._forget_tenants()

    def _count(self, batch: Batch) -> None:
        measures.FOLD_BATCH.observe(len(batch.records))
        now = self._clock()
        for record in batch.records:
            measures.EVENT_LATENCY.observe(max(now - record.timestamp, 0) / 1000)
        for folded in itertools.chain.from_iterable(batch.folded.values()):
            measures.EVENTS.add(folded.envelope.type)
            log_folded(folded, now)

    async def _write(self, write: GraphWrite) -> None:
        write.published = self.published
        await self._graph.write(write)
        self._held = write.next
        self._at(write.next[1])

    async def _fold_one(self, record: StoredRecord, folded: dict[str, list[Folded]]) -> None:
        try:
            envelope = EventEnvelope.from_record(record)
        except ValueError as error:
            if record.offset >= self._looked_at:
                await send_dead_letter(self._log, record, str(error))
                self._looked_at = record.offset + 1
            return
        state = await self._state(envelope.tenant)
        if state.quarantined or (state.left_out and envelope.digest in state.left_out):
            return
        if envelope.seq <= state.seq:
            await self._check_repeated(state, envelope, folded.get(envelope.tenant, ()))
            return
        folded.setdefault(envelope.tenant, []).append(fold(self._registry, state, envelope))

    async def _state(self, tenant: str) -> TenantState:
        state = self._states.get(tenant)
        if state is None:
            state = await load_tenant(self._graph, self._registry, tenant, decides=False)
            self._states[tenant] = state
            self._progress.advance(tenant, state.seq)
        return state

    async def _check_repeated(
        self, state: TenantState, envelope: EventEnvelope, folded: Iterable[Folded]
    ) -> None:
        """A repeated event is harmless, another one in its place is a divergence."""
        recent = (*self._on_its_way.get(envelope.tenant, ()), *folded)
        known = next((f.digest for f in recent if f.envelope.seq == envelope.seq), None)
        if known is None:
            event_id = node_id(state.tenant, str(envelope.seq))
            rows = await self._graph.query(load_statements.DIGESTS, {"ids": [event_id]})
            known = rows[0]["digest"] if rows else None
        if known is not None and known != envelope.digest:
            raise Corrupt(
                "divergence",
                f"tenant {state.tenant} has two different events"
                f" {envelope.seq}; the one folded first stands",
            )

    async def _quarantine(self, record: StoredRecord, error: WriteRefused) -> None:
        """Set one tenant aside so that the others go on; its events count as passed."""
        envelope = EventEnvelope.from_record(record)
        with event_fields(envelope):
            logger.error("tenant %s is quarantined: %s", envelope.tenant, error)
        measures.QUARANTINES.add()
        state = await self._state(envelope.tenant)
        state.quarantined = f"event {envelope.seq} ({envelope.type}): {error.reason}"[:1000]
        row: dict[str, Any] = tenant_row(state, None)
        row["quarantined_offset"] = record.offset
        write = GraphWrite(self._partition, self._held, (self._log.epoch, record.offset + 1))
        write.nodes["Tenant"] = [row]
        await self._write(write)
        self.on_quarantine(envelope.tenant)

    def _evict(self, state: TenantState, folded: Iterable[Folded]) -> None:
        for one in folded:
            for cls, entity_id in one.touched:
                state.evict(cls, entity_id)
        state.receipts.clear()

    def _forget_tenants(self) -> None:
        """Those whose last events are on their way are not in the graph yet as they are here."""
        keep = self._ahead.folded if self._ahead is not None else {}
        others = [tenant for tenant in self._states if tenant not in keep]
        for tenant in others[: max(len(self._states) - CACHED_TENANTS, 0)]:
            del self._states[tenant]
