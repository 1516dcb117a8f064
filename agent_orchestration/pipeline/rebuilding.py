"""Making the graph anew from the log."""

import logging
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.log import LogLost
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.pipeline.histories import refuse_incomplete
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS

logger = logging.getLogger(__name__)


async def rebuild(
    services: Services, partitions: Iterable[int]
) -> AsyncGenerator[dict[str, Any], None]:
    """Drop the graph and fold the log again; for the yields see `core.dispatch.Dispatcher`.

    Nobody else may write meanwhile: `partitions` are all that there are, and nobody works on them.
    Raises `Rejected` where the log lacks what the graph was made from.
    """
    started = time.monotonic()
    entities = services.registry.entities.values()
    projectors = {number: Projector(services, number) for number in sorted(partitions)}
    for number, projector in projectors.items():
        await _catch_up(projector)
        projector.published = await services.graph.published(number)
    await refuse_incomplete(services.log)
    before = await fingerprint(services.graph, entities)
    await services.graph.clear()
    services.progress.reset()
    total = 0
    for number in projectors:
        begin, end = await services.log.bounds(EVENTS, number)
        total += end - begin
    done = 0
    for projector in projectors.values():
        await projector.seek()
        while count := await projector.step():
            done += count
            yield {"done": done, "total": total}
    after = await fingerprint(services.graph, entities)
    yield {
        "fingerprint_before": before,
        "fingerprint_after": after,
        "equal": before == after,
        "events": total,
        "seconds": round(time.monotonic() - started, 3),
    }


async def _catch_up(projector: Projector) -> None:
    """Fold what is in the log. A graph that cannot go on is compared as it is; a log that lost
    records stays an error, for they would be missing in the new graph."""
    try:
        await projector.seek()
        while await projector.step():
            pass
    except LogLost:
        raise
    except Corrupt as error:
        logger.warning("the graph could not follow the log before it was rebuilt: %s", error)
