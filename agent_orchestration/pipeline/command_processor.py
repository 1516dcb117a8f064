"""One partition's command processor: commands -> decide -> events. The only writer of events."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from agent_orchestration import measures
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import CommandEnvelope, StoredRecord
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.folding import TouchedKey
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline import spans
from agent_orchestration.pipeline.committed import CommittedPosition
from agent_orchestration.pipeline.common_rules import common_rules
from agent_orchestration.pipeline.dead_letters import send_dead_letter
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome
from agent_orchestration.pipeline.loading import (
    graph_seq,
    load_entities,
    load_receipts,
    load_tenant,
)
from agent_orchestration.pipeline.outcome_lines import note_settled
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, SYSTEM_EVENTS

logger = logging.getLogger(__name__)
BATCH = 500
IDLE_SECONDS = 60.0
#: An entity that was loaded for one batch only.
Borrowed = tuple[TenantState, type[Entity], str]


class Observer(Protocol):
    """Who is told of every settled command: the timer, and whoever waits for work."""

    def taken_over(self) -> None:
        """The partition was taken over, from another owner or from ourselves: of what was decided
        before, nobody here may have heard."""
        ...

    def settled(self, outcome: Outcome, state: TenantState, /) -> None:
        """The command's outcome is final. Told in the order of the commands."""
        ...


class CommandProcessor:
    """Decides a partition's commands in order, appends their events, answers their callers.

    `next` is the offset of the next command to decide; everything before it is settled.
    """

    def __init__(
        self,
        services: Services,
        projector: Projector,
        partition: int,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._log = services.log
        self._graph = services.graph
        self._registry = services.registry
        self._progress = services.progress
        self._bus = services.bus
        self._replies = services.replies
        self._projector = projector
        self._partition = partition
        self._partitions = services.log.topics()[COMMANDS].partitions
        self._observers = observers
        self._decider = Decider(services.registry)
        self._states: dict[str, TenantState] = {}
        self._loading: dict[str, asyncio.Task[TenantState]] = {}
        #: By tenant, what is finished, with the `seq` of its last change, in that order.
        self._finished: defaultdict[str, dict[TouchedKey, int]] = defaultdict(dict)
        self._position = CommittedPosition(services.log, partition)
        #: Where `commands` ended when that was asked last.
        self._end = 0
        self.next = 0
        #: Of everything before it, whoever waits and observes was told.
        self._told = 0
        self.taken_over = asyncio.Event()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Decide for ever. Raises `Corrupt` where going on would be wrong."""
        try:
            await self._run()
        finally:
            for task in self._loading.values():
                task.cancel()
            await self._position.end()

    async def _run(self) -> None:
        await self._take_over()
        in_doubt = False
        while True:
            records = await self._log.read(COMMANDS, self._partition, self.next, BATCH)
            if not records:
                self._position.reached(self.next)
                await self._log.wait(COMMANDS, self._partition, self.next, IDLE_SECONDS)
                continue
            try:
                with measures.DECIDE_SECONDS.timed():
                    await self._decide(records)
                measures.DECIDE_BATCH.observe(len(records))
                self._position.reached(self.next)
                in_doubt = False
            except Unavailable as error:
                if in_doubt:
                    raise  # the second time in a row: only a pause can help
                # Whether the events were appended is unknown: what is in memory may be ahead of
                # the log. Take the partition over from ourselves, as a new owner would.
                logger.warning("events of partition %d are in doubt: %s", self._partition, error)
                in_doubt = True
                await self._take_over()

    async def state(self, tenant: str) -> TenantState:
        """The tenant's state, loaded once however many ask for it."""
        state = self._states.get(tenant)
        if state is not None:
            return state
        if tenant not in self._loading:
            self._loading[tenant] = asyncio.create_task(self._load(tenant))
        try:
            state = await asyncio.shield(self._loading[tenant])
        finally:
            self._loading.pop(tenant, None)
        self._progress.advance(tenant, state.seq)
        return self._states.setdefault(tenant, state)

    async def _load(self, tenant: str) -> TenantState:
        """What we appended has to be in the graph before a state can come from there."""
        _, appended = await self._log.bounds(EVENTS, self._partition)
        await self._projector.passed(appended)
        state = await load_tenant(self._graph, self._registry, tenant)
        if not state.seq:
            state.rules = await common_rules(self._log)
        return state

    def states(self) -> list[TenantState]:
        """Those in memory, to look at."""
        return [*self._states.values()]

    def forget(self, tenant: str) -> None:
        """The tenant's state has to be loaded again."""
        self._states.pop(tenant, None)
        self._finished.pop(tenant, None)

    async def passed(self, offset: int) -> None:
        """Wait until every command before `offset` is settled."""
        while self._told < offset:
            self._settled.clear()
            await self._settled.wait()

    async def _take_over(self) -> None:
        """Become the partition's writer: only after the graph has every event appended so far."""
        committed = await self._log.committed(GROUP, COMMANDS, self._partition)
        _, barrier = await self._log.bounds(EVENTS, self._partition)
        await self._projector.passed(barrier)
        self._states.clear()
        self._finished.clear()
        begin, _ = await self._log.bounds(COMMANDS, self._partition)
        known = committed is not None and committed[0] == self._log.epoch
        self.next = self._told = committed[1] if committed and known else begin
        self.taken_over.set()
        for observer in self._observers:
            observer.taken_over()

    async def _decide(self, records: Sequence[StoredRecord]) -> None:
        deciding = spans.Deciding(self._partition)
        asked = [self._asked(record) for record in records]
        borrowed = await self._load_needs([one for one in asked if isinstance(one, Asked)])
        outcomes: list[Outcome] = []
        following = self.next
        for record, one in zip(records, asked, strict=True):
            if isinstance(one, Asked):
                state = self._states.get(one.envelope.tenant)
                if state is None:
                    break  # quarantined while we were loading: read again from here
                outcomes.append(self._decider.decide(state, one))
            else:
                await send_dead_letter(self._log, record, one)
            following = record.offset + 1
            if outcomes and outcomes[-1].spoiled:
                break
        events = [o.folded.envelope.to_record() for o in outcomes if o.folded is not None]
        if events:
            with deciding.appending():
                await self._log.append(EVENTS, self._partition, events)
        self.next = following
        for outcome in outcomes:
            self._note_finished(outcome)
        for state, cls, entity_id in borrowed:
            if (cls, entity_id) not in self._finished[state.tenant]:
                state.evict(cls, entity_id)
        await self._keep_rejections(outcomes)
        self._settle(outcomes, await self._lag(len(records)))
        deciding.record(outcomes)

    def _asked(self, record: StoredRecord) -> Asked | str:
        """The command, or why the record holds none for this partition."""
        try:
            envelope = CommandEnvelope.from_record(record)
            command = self._registry.decode_command(envelope.type, envelope.body)
        except (ValueError, msgspec.DecodeError) as error:
            return str(error)
        # Two partitions that decide for one tenant would give it two histories.
        if partition_of(envelope.tenant, self._partitions) != self._partition:
            return f"tenant {envelope.tenant} belongs to another partition"
        return Asked(envelope, command, (self._log.epoch, record.offset), record.timestamp)

    async def _load_needs(self, asked: Iterable[Asked]) -> list[Borrowed]:
        by_tenant: defaultdict[str, list[Asked]] = defaultdict(list)
        for one in asked:
            by_tenant[one.envelope.tenant].append(one)
        borrowed: list[Borrowed] = []
        for tenant, its in by_tenant.items():
            borrowed += await self._load_tenant_needs(tenant, its)
        return borrowed

    async def _load_tenant_needs(self, tenant: str, asked: Sequence[Asked]) -> list[Borrowed]:
        needs = [need for one in asked for need in one.needs()]
        keys = [one.envelope.receipt_key for one in asked if one.envelope.key is not None]
        while True:
            state = await self.state(tenant)
            self._evict(state)
            loaded = await load_entities(self._graph, state, needs)
            receipts = await load_receipts(self._graph, state, keys)
            if not loaded and not receipts:
                return []
            if await graph_seq(self._graph, tenant) <= state.seq:
                return [(state, cls, entity_id) for cls, entity_id in loaded]
            # Another owner of the partition is ahead of us, and what was loaded is of its time.
            self.forget(tenant)

    def _evict(self, state: TenantState) -> None:
        """Forget what is finished and in the graph, so that memory follows the live work."""
        applied = self._progress.seq(state.tenant)
        finished = self._finished[state.tenant]
        while finished and finished[key := next(iter(finished))] <= applied:
            del finished[key]
            state.evict(*key)
        state.forget(applied)

    def _note_finished(self, outcome: Outcome) -> None:
        """It may leave memory when the graph has its last change, not one before that."""
        if outcome.folded is None:
            return
        envelope = outcome.folded.envelope
        finished = self._finished[envelope.tenant]
        for key, touched in outcome.folded.touched.items():
            finished.pop(key, None)
            if not touched.entity.is_live():
                finished[key] = envelope.seq

    async def _keep_rejections(self, outcomes: Iterable[Outcome]) -> None:
        partitions = self._log.topics()[SYSTEM_EVENTS].partitions
        kept = [o.rejection for o in outcomes if o.rejection is not None]
        if kept:
            await self._log.append(SYSTEM_EVENTS, self._partition % partitions, kept)

    async def _lag(self, read: int) -> int:
        """How many commands wait. Nobody's answer waits for the question where few were read."""
        if read >= BATCH:
            _, self._end = await self._log.bounds(COMMANDS, self._partition)
        return max(self._end - self.next, 0)

    def _settle(self, outcomes: Iterable[Outcome], lag: int) -> None:
        for outcome in outcomes:
            note_settled(outcome)
            state = self._states.get(outcome.asked.envelope.tenant)
            if state is not None:
                for observer in self._observers:
                    observer.settled(outcome, state)
            result = msgspec.structs.replace(outcome.result, lag=lag)
            address = outcome.asked.envelope.reply_to
            if address is not None and self._replies.elsewhere(address):
                self._replies.settled(address, result)
            else:
                self._bus.delivered(result)
        for outcome in outcomes:
            if outcome.spoiled:
                self.forget(outcome.asked.envelope.tenant)
        self._told = self.next
        self._settled.set()
