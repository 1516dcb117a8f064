"""A new epoch of the log, begun as planned."""

from collections.abc import Awaitable, Callable

from agent_orchestration.backends.graph import Graph, GraphWrite
from agent_orchestration.backends.log.renewal import RenewableLog
from agent_orchestration.core.entities import Row
from agent_orchestration.core.folding import tenant_row
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.epoch_plan import EpochPlan, TenantLoss, lost
from agent_orchestration.pipeline.loading import load_clock
from agent_orchestration.pipeline.topology import COMMANDS, GROUP


async def begin_epoch(
    plan: EpochPlan,
    log: RenewableLog,
    graph: Graph,
    registry: Registry,
    quiet: Callable[[], Awaitable[None]],
) -> None:
    """Let the partitions go on where the plan says, under a new epoch of the log.

    Until all of it is done nobody else can open the log; making a plan and carrying it out again
    is how an interrupted one goes on. `quiet` raises where somebody else is at work.
    """
    await quiet()
    await log.begin_epoch()
    await quiet()
    # The groups first: a partition whose position in the graph is of an older epoch does not start.
    for one in plan.partitions:
        await log.commit(GROUP, COMMANDS, one.partition, one.commands_from)
    for one in plan.partitions:
        write = GraphWrite(one.partition, one.held, (log.epoch, one.events_from))
        aside = [t for t in plan.tenants if t.set_aside and t.partition == one.partition]
        if aside:
            write.nodes["Tenant"] = [await _set_aside(graph, registry, t) for t in aside]
        await graph.write(write)
    await log.end_epoch(lost(plan))


async def _set_aside(graph: Graph, registry: Registry, loss: TenantLoss) -> Row:
    """The tenant's node: as it is, but quarantined, so that its events count as passed."""
    state = registry.new_state(loss.tenant)
    await load_clock(graph, state)
    state.quarantined = f"{loss.set_aside}: bring them back from a backup"
    return {**tenant_row(state, None), "quarantined_offset": loss.not_folded_from}
