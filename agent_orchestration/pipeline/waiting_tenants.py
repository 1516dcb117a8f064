"""Loading the tenants that have something to do, for those who watch the platform.

A tenant is loaded when it is called, or when something of it is due. Of one whose tasks wait while
nobody calls, nobody would be told after its partition was taken over.
"""

import asyncio
import logging

from agent_orchestration.backends.graph import load_statements
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.pipeline.command_processor import CommandProcessor
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS

logger = logging.getLogger(__name__)
#: Who calls at once is served first.
LATER_SECONDS = 5.0
SECONDS = 60.0
#: So many tenants at most are loaded for this.
MOST = 1000


async def load_waiting(services: Services, processor: CommandProcessor, partition: int) -> None:
    """Load the partition's tenants that have tasks that are ready, once it was taken over."""
    await processor.taken_over.wait()
    await asyncio.sleep(LATER_SECONDS)
    partitions = services.log.topics()[COMMANDS].partitions
    try:
        rows = await services.graph.query(load_statements.READY_TENANTS, {}, seconds=SECONDS)
        names = sorted(row["tenant"] for row in rows)
        here = [name for name in names if partition_of(name, partitions) == partition]
        for tenant in here[:MOST]:
            await processor.state(tenant)
    except PlatformError as error:
        logger.warning("waiting tenants of partition %d are not known: %s", partition, error)
