"""How late a process comes to what is due: while it computes, everybody in it waits."""

import asyncio
import time
from typing import Never

from agent_orchestration import measures

EVERY_SECONDS = 0.5


async def measure_loop_delay() -> Never:
    """Measure for ever how long after its time this task is woken."""
    while True:
        due = time.perf_counter() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        measures.LOOP_DELAY.observe(max(time.perf_counter() - due, 0.0))
