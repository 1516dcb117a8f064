"""How the platform can go on after the log lost records: with the graph as it is as the new base.

Nothing is changed here. What the graph has is kept, whether the log has it still or not; what only
the log has is folded from where the graph's part ends. A tenant whose next event is lost while
later ones are there cannot be folded any more: it is set aside, so that the others go on.
"""

from collections.abc import Mapping

import msgspec

from agent_orchestration.backends.graph import Graph, Position, load_statements
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.renewal import RenewableLog
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.state import GENESIS
from agent_orchestration.pipeline.histories import batches, event_of
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP

SECONDS = 120.0


class PartitionPlan(msgspec.Struct, frozen=True):
    """Where a partition goes on: with the event at `events_from`, the command at `commands_from`.

    `held` is what the graph has now. `events_lost` and `commands_lost` count records that nobody
    had folded or decided, and of whose tenants nothing is known.
    """

    partition: int
    held: Position | None
    events_from: int
    events_lost: int
    commands_from: int
    commands_lost: int


class TenantLoss(msgspec.Struct, frozen=True):
    """What the log lacks of a tenant: ranges of `seq`, both ends included.

    The graph has everything up to `graph_seq`. `first_in_log` and `last_in_log` are 0 where the
    log has nothing. `set_aside` says why the tenant cannot go on, and is empty where it can;
    `not_folded_from` is then the offset of its first event that the graph lacks.
    """

    tenant: str
    partition: int
    graph_seq: int
    first_in_log: int
    last_in_log: int
    missing: list[tuple[int, int]]
    set_aside: str = ""
    not_folded_from: int | None = None


class EpochPlan(msgspec.Struct, frozen=True):
    """What a new epoch would begin with. `needed`: the platform cannot go on without one."""

    needed: bool
    partitions: list[PartitionPlan]
    tenants: list[TenantLoss]


class _Tenant:
    """A tenant while its partition is read. `reached` is how far folding would come."""

    def __init__(self, name: str, seq: int = 0, digest: str = GENESIS) -> None:
        self.name = name
        self.graph_seq = self.reached = seq
        self.digest = digest
        self.aside_before = False
        self.stuck = ""
        self.not_folded_from: int | None = None
        self.there: list[tuple[int, int]] = []

    def follow(self, event: EventEnvelope, offset: int) -> bool:
        """Whether the event is one that a projector would have to fold."""
        first, last = self.there[-1] if self.there else (event.seq, event.seq - 1)
        if event.seq == last + 1:
            self.there[-1:] = [(first, event.seq)]
        elif event.seq > last:
            self.there.append((event.seq, event.seq))
        if self.aside_before or self.stuck or event.seq <= self.reached:
            return False
        if self.not_folded_from is None:
            self.not_folded_from = offset
        if event.seq != self.reached + 1:
            self.stuck = f"events {self.reached + 1} to {event.seq - 1} are lost"
        elif event.prev != self.digest:
            self.stuck = f"event {event.seq} does not follow the event {self.reached} of the graph"
        self.reached, self.digest = event.seq, event.digest
        return not self.stuck

    def loss(self, partition: int) -> TenantLoss | None:
        """What the log lacks, if anything."""
        end = max(self.graph_seq, self.there[-1][1] if self.there else 0)
        edges = [0, *(edge for first, last in self.there for edge in (first, last)), end + 1]
        missing = [
            (a + 1, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a + 1
        ]
        if not missing and not self.stuck:
            return None
        return TenantLoss(
            self.name,
            partition,
            self.graph_seq,
            self.there[0][0] if self.there else 0,
            self.there[-1][1] if self.there else 0,
            missing,
            self.stuck,
            self.not_folded_from if self.stuck else None,
        )


async def plan_epoch(log: RenewableLog, whole: Log, graph: Graph, *, begun: bool) -> EpochPlan:
    """Compare the log with the graph. `whole` shows its large values too, `begun` says that an
    epoch was begun that did not end. Raises what log and graph raise."""
    count = log.topics()[EVENTS].partitions
    planner = _Planner(log, whole, graph)
    tenants = await planner.tenants(count)
    for number in range(count):
        await planner.look(number, tenants[number])
    needed = begun or planner.needed
    return EpochPlan(needed, planner.partitions, sorted(planner.losses, key=lambda t: t.tenant))


class _Planner:
    def __init__(self, log: RenewableLog, whole: Log, graph: Graph) -> None:
        self._log = log
        self._whole = whole
        self._graph = graph
        self._same: dict[tuple[str, int], bool] = {}
        #: By partition, the offset of the last command that is known to be decided.
        self._decided: dict[int, int] = {}
        self.needed = False
        self.partitions: list[PartitionPlan] = []
        self.losses: list[TenantLoss] = []

    async def tenants(self, count: int) -> list[dict[str, _Tenant]]:
        """By partition, the tenants that the graph has."""
        found: list[dict[str, _Tenant]] = [{} for _ in range(count)]
        for row in await self._graph.query(load_statements.TENANTS, {}, seconds=SECONDS):
            tenant = _Tenant(row["id"], row["seq"], row["prev"])
            tenant.aside_before = bool(row["quarantined"])
            number = partition_of(tenant.name, count)
            found[number][tenant.name] = tenant
            await self._note_command(number, (row["command_epoch"], row["command_offset"]))
        return found

    async def look(self, number: int, tenants: dict[str, _Tenant]) -> None:
        """Plan one partition."""
        held = await self._graph.position(number)
        first, end = await self._log.bounds(EVENTS, number)
        at = held[1] if held and await self._holds(EVENTS, held[0]) else None
        begin = await self._first_not_folded(number, tenants, at or 0)
        begin = end if begin is None else begin
        losses = [loss for one in tenants.values() if (loss := one.loss(number)) is not None]
        self.losses += losses
        commands_from, commands_lost = await self._commands(number)
        lost = max(first - at, 0) if at is not None else 0
        self.partitions.append(
            PartitionPlan(number, held, begin, lost, commands_from, commands_lost)
        )
        if held is not None and (held[0] != self._log.epoch or not first <= held[1] <= end):
            self.needed = True
        self.needed |= begin < (at or 0) or any(loss.set_aside for loss in losses)

    async def _first_not_folded(
        self, number: int, tenants: dict[str, _Tenant], looked_at: int
    ) -> int | None:
        """The offset of the first event that a projector has to fold; records before `looked_at`
        that are no events are in `dead_letters` already."""
        found: int | None = None
        async for records in batches(self._whole, EVENTS, number):
            for record in records:
                event = event_of(record)
                if event is None:
                    wanted = record.offset >= looked_at
                else:
                    tenant = tenants.setdefault(event.tenant, _Tenant(event.tenant))
                    wanted = tenant.follow(event, record.offset)
                    await self._note_command(number, event.command_position)
                if wanted and found is None:
                    found = record.offset
        return found

    async def _commands(self, number: int) -> tuple[int, int]:
        """The first command to decide, and how many before it are gone.

        Commands are decided in order, so the last one that led to an event says that all before
        it were decided: under the new epoch no position tells any more.
        """
        first, end = await self._log.bounds(COMMANDS, number)
        committed = await self._log.committed(GROUP, COMMANDS, number)
        position = first
        if committed is not None and await self._holds(COMMANDS, committed[0]):
            position = committed[1]
            if committed[0] == self._log.epoch and not first <= position <= end:
                self.needed = True
        position = max(position, self._decided.get(number, -1) + 1)
        return min(max(position, first), end), max(first - position, 0)

    async def _note_command(self, number: int, position: Position) -> None:
        if await self._holds(COMMANDS, position[0]):
            self._decided[number] = max(self._decided.get(number, -1), position[1])

    async def _holds(self, topic: str, epoch: int) -> bool:
        if (topic, epoch) not in self._same:
            self._same[topic, epoch] = await self._log.holds(topic, epoch)
        return self._same[topic, epoch]


def lost(plan: EpochPlan) -> list[Mapping[str, object]]:
    """What is missing, in plain values: tenants, then partitions that lost records unread."""
    tenants = [msgspec.to_builtins(one) for one in plan.tenants]
    return tenants + [
        msgspec.to_builtins(one) for one in plan.partitions if one.events_lost or one.commands_lost
    ]
