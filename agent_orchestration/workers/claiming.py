"""Claiming tasks for a worker: one claim waits for work, and where there is some others join it."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from agent_orchestration.core.errors import NotFound, PlatformError, Rejected
from agent_orchestration.workers.calls import PatientCalls

CLAIM_SECONDS = 10.0
LEAST_PAUSE = 0.2
#: So many claims are under way at most: the platform decides those together that come together.
MOST_CLAIMS = 16

Claim = dict[str, Any]


class Claims:
    """Claims tasks for the agent `agent_id`, so many at most at once, until it ends.

    `carry_out(claim)` is what becomes of one; the next may take its place when it returns. The keys
    of its claims begin with `session`, chosen at random where there is none. `stopped`: it ended at
    once; `refusal` is why the agent may take no more.
    """

    def __init__(
        self,
        calls: PatientCalls,
        agent_id: str,
        carry_out: Callable[[Claim], Coroutine[Any, Any, None]],
        *,
        concurrency: int,
        lease_seconds: float | None,
        session: str | None,
    ) -> None:
        self.ended = False
        self.stopped = False
        self.refusal: PlatformError | None = None
        self._calls = calls
        self._agent_id = agent_id
        self._carry_out = carry_out
        self._lease = {} if lease_seconds is None else {"lease_seconds": lease_seconds}
        self._key = f"{agent_id}:{session or secrets.token_hex(4)}:claim"
        self._slots = asyncio.Semaphore(concurrency)
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._under_way: set[asyncio.Task[Claim | None]] = set()
        self._number = 0
        self._more = 0

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Claim until it ends; what is claimed is carried out in the group. Raises what the calls'
        patience did not cure."""
        while not self.ended:
            asked = now()
            found = await self._for_next_slot(group, CLAIM_SECONDS)
            if not found and not self.ended:
                # An answer before its time must not become a busy loop.
                await asyncio.sleep(max(0.0, asked + LEAST_PAUSE - now()))

    def pause(self) -> None:
        """Claim nothing until `resume`."""
        self._unpaused.clear()
        self._interrupt()

    def resume(self) -> None:
        """Claim again."""
        self._unpaused.set()

    def end(self, *, at_once: bool = False) -> None:
        """Claim nothing more; what a claim under way has brought by now is carried out, unless it
        is to end at once."""
        self.ended = True
        self.stopped = self.stopped or at_once
        self._interrupt()
        self.resume()

    def refuse(self, error: PlatformError) -> None:
        """The agent may take no more tasks."""
        self.refusal = error
        self.ended = True

    def _interrupt(self) -> None:
        for claim in self._under_way:
            claim.cancel()

    async def _at_once(self, group: asyncio.TaskGroup) -> None:
        """Claim as long as there is work that need not be waited for."""
        try:
            while await self._for_next_slot(group, 0.0):
                pass
        finally:
            self._more -= 1

    async def _for_next_slot(self, group: asyncio.TaskGroup, seconds: float) -> bool:
        """Claim when another task may be held; whether there was one within `seconds`."""
        await self._slots.acquire()
        await self._unpaused.wait()
        self._number += 1
        number, claim = self._number, None
        while claim is None and not self.ended:
            claim = await self._interruptible(number, seconds)
        if not claim or not claim.get("task"):
            self._slots.release()
            return False
        group.create_task(self._held(claim))
        if self._more < MOST_CLAIMS - 1 and not self._slots.locked():
            self._more += 1
            group.create_task(self._at_once(group))
        return True

    async def _held(self, claim: Claim) -> None:
        try:
            await self._carry_out(claim)
        finally:
            self._slots.release()

    async def _interruptible(self, number: int, seconds: float) -> Claim | None:
        """A claim's answer; None where it has to be made again.

        Interrupted, it asks once more: what was granted a moment ago comes again under the same
        key.
        """
        for wait in (seconds, 0.0):
            claim = asyncio.create_task(self._claim(number, wait))
            self._under_way.add(claim)
            try:
                await asyncio.wait((claim,))
            finally:
                self._under_way.remove(claim)
                claim.cancel()
            if not claim.cancelled():
                return claim.result()
            if self.stopped:
                break
        return {}

    async def _claim(self, number: int, seconds: float) -> Claim | None:
        try:
            return await self._calls(
                "claim_task",
                agent_id=self._agent_id,
                wait_seconds=seconds,
                brief=True,
                idempotency_key=f"{self._key}:{number}",
                **self._lease,
            )
        except (Rejected, NotFound) as error:
            if error.code == "unknown_task":  # claimed, but the graph is far behind
                await asyncio.sleep(LEAST_PAUSE)
                return None
            self.refuse(error)
            return {}


def now() -> float:
    """Seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()
