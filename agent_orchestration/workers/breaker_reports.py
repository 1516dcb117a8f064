"""What agents tell the platform of the circuit breaker of the service that they call."""

import asyncio
import logging

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.resilience import CircuitBreaker
from agent_orchestration.workers.calls import PatientCalls

PAUSE_SECONDS = 1.0
"""Between two reports: a breaker that opens and closes all the time is no flood of events."""
LONGEST_NAME = 256

logger = logging.getLogger(__name__)


async def report_breaker(calls: PatientCalls, agent_id: str, breaker: CircuitBreaker) -> None:
    """Report the breaker's present state, and each change of it, for the agent whose `calls` these
    are, until cancelled. What a predecessor said that was killed is put right by the first one.

    One report is answered before the next, which then says the latest state. Ends where the
    platform refuses them, as it does those of an agent that was retired.
    """
    changed = asyncio.Event()
    said = None
    with breaker.watched(changed.set):
        while True:
            changed.clear()
            if (state := breaker.state) != said:
                try:
                    await calls(
                        "report_circuit_breaker",
                        agent_id=agent_id,
                        service=breaker.name[:LONGEST_NAME],
                        state=state.value,
                    )
                except PlatformError as refused:
                    logger.warning("breakers of %s are not reported: %s", agent_id, refused)
                    return
                said = state
                await asyncio.sleep(PAUSE_SECONDS)
            await changed.wait()
