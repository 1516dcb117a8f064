"""The batch recomputation: everything counted again from the log."""

import asyncio

from agent_orchestration.analytics.counting import Counting
from agent_orchestration.backends.log import Log
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.topology import EVENTS, SYSTEM_EVENTS


async def recounted(log: Log, registry: Registry) -> Counting:
    """Every event that the log and its archive have, and the rejections that are still kept.
    Raises what reading raises, and `Rejected` where the log lacks events."""
    counting = Counting(registry)
    for topic in (EVENTS, SYSTEM_EVENTS):
        for partition in range(log.topics()[topic].partitions):
            async for records in batches(log, topic, partition):
                for record in records:
                    counting.take(record)
                await asyncio.sleep(0)
    for tenant, history in counting.histories.items():
        if history.held:
            following = history.state.seq + 1
            reason = f"the log lacks event {following} of tenant {tenant}: bring it back from a"
            raise Rejected("log_incomplete", f"{reason} backup or the archive", tenant=tenant)
    return counting
