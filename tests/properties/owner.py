"""The owner of a partition, for several tenants at once: it decides from states that forget what
the graph has, loads what a command needs, and folds later and in batches."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope
from agent_orchestration.core.folding import Folded, fold, tenant_row
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.loading import load_entities, load_receipts, load_tenant
from agent_orchestration.pipeline.rows import BatchRows
from tests.properties.graph_model import GraphModel

TenantName = str


class Owner:
    """`log` is what was appended for all tenants; the graph has the first `passed` of it."""

    def __init__(self) -> None:
        self.graph = GraphModel()
        self.log: list[EventEnvelope] = []
        self.passed = 0
        self._states: dict[TenantName, TenantState] = {}
        self._folding: dict[TenantName, TenantState] = {}
        self._applied: defaultdict[TenantName, int] = defaultdict(int)
        self._finished: defaultdict[TenantName, deque[Folded]] = defaultdict(deque)
        self._decider = Decider(REGISTRY)
        self._offset = -1

    async def ask(self, envelope: CommandEnvelope, timestamp: int) -> Outcome:
        """Decide the next command of the partition."""
        self._offset += 1
        command = REGISTRY.decode_command(envelope.type, envelope.body)
        state = await self._state(envelope.tenant)
        self._evict(state)
        borrowed = await load_entities(self.graph, state, command.needs())
        keys = [envelope.receipt_key] if envelope.key is not None else []
        await load_receipts(self.graph, state, keys)
        asked = Asked(envelope, command, (1, self._offset), timestamp)
        outcome = self._decider.decide(state, asked)
        assert not outcome.spoiled, outcome.result.error
        if outcome.folded is not None:
            self.log.append(outcome.folded.envelope)
            self._finished[state.tenant].append(outcome.folded)
        for cls, entity_id in borrowed:
            state.evict(cls, entity_id)
        return outcome

    async def fold(self, most: int) -> None:
        """The next events reach the graph, in one transaction for all tenants."""
        batch = self.log[self.passed : self.passed + most]
        folded: defaultdict[TenantName, list[Folded]] = defaultdict(list)
        for envelope in batch:
            if envelope.tenant not in self._folding:
                loaded = await load_tenant(self.graph, REGISTRY, envelope.tenant, decides=False)
                self._folding[envelope.tenant] = loaded
            state = self._folding[envelope.tenant]
            folded[envelope.tenant].append(fold(REGISTRY, state, envelope))
        await self._write(folded, self.passed + len(batch))
        self.passed += len(batch)
        for tenant, its in folded.items():
            state = self._folding[tenant]
            _forget(state, its)
            state.receipts.clear()
            self._applied[tenant] = state.seq

    async def _write(self, folded: dict[TenantName, list[Folded]], position: int) -> None:
        rows = BatchRows()
        for tenant, its in folded.items():
            list(rows.add(tenant, its))
        held = await self.graph.position(0)
        write = rows.write(0, held, (1, position))
        states = [self._folding[tenant] for tenant in folded]
        write.nodes["Tenant"] = [tenant_row(state, next_due(state)) for state in states]
        await self.graph.write(write)

    async def restart(self, random: Any) -> None:
        """Another process takes over: the graph has everything, and tells it in any order."""
        await self.fold(len(self.log))
        self.graph.shuffle = random.shuffle
        self._states.clear()
        self._folding.clear()
        self._finished.clear()

    def entities(self, tenant: TenantName) -> list[Entity]:
        """What is in memory of a tenant."""
        state = self._states.get(tenant) or REGISTRY.new_state(tenant)
        return [one for cls in REGISTRY.entities.values() for one in state.all(cls)]

    async def _state(self, tenant: TenantName) -> TenantState:
        if tenant not in self._states:
            self._states[tenant] = await load_tenant(self.graph, REGISTRY, tenant)
        return self._states[tenant]

    def _evict(self, state: TenantState) -> None:
        applied, finished = self._applied[state.tenant], self._finished[state.tenant]
        while finished and finished[0].envelope.seq <= applied:
            _forget(state, [finished.popleft()])
        state.forget(applied)


def _forget(state: TenantState, folded: Iterable[Folded]) -> None:
    for one in folded:
        for cls, entity_id in one.touched:
            state.evict(cls, entity_id)


def of_tenant(log: Sequence[EventEnvelope], tenant: TenantName) -> list[EventEnvelope]:
    """The history of one tenant."""
    return [envelope for envelope in log if envelope.tenant == tenant]
