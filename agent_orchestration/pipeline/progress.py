"""How far the graph is, for those who wait for it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

#: So long after a reader saw an event its transaction is over.
SETTLED_SECONDS = 1.0


class Progress:
    """The `seq` that the graph has reached, by tenant; wakes who waits for more."""

    def __init__(self) -> None:
        self._seq: dict[str, int] = {}
        self._promised: dict[str, int] = {}
        self._beginnings = 0
        self._watchers: list[Callable[[str, int], None]] = []
        self._waiting: defaultdict[str, list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)

    def seq(self, tenant: str) -> int:
        """The last known `seq`; 0 where nothing is known."""
        return self._seq.get(tenant, 0)

    def promise(self, tenant: str, seq: int) -> None:
        """Somebody was told of that event, and may look for it in the graph."""
        self._promised[tenant] = max(seq, self.promised(tenant))

    def promised(self, tenant: str) -> int:
        """The last event that was promised; 0 where none was."""
        return self._promised.get(tenant, 0)

    def watch(self, watcher: Callable[[str, int], None]) -> None:
        """From now on, tell the watcher whenever a tenant's `seq` has been reached."""
        self._watchers.append(watcher)

    def advance(self, tenant: str, seq: int) -> None:
        """The graph has reached `seq`."""
        if seq <= self._seq.get(tenant, 0):
            return
        self._seq[tenant] = seq
        for watcher in self._watchers:
            watcher(tenant, seq)
        waiting = self._waiting.pop(tenant, [])
        for wanted, future in waiting:
            if wanted > seq:
                self._waiting[tenant].append((wanted, future))
            elif not future.done():
                future.set_result(None)

    def seen(self, tenant: str, seq: int) -> None:
        """A reader saw that the graph has `seq`, which was not told by who wrote it: that counts
        after a while. An engine without snapshots (Neo4j) shows parts of a transaction before its
        commit has ended: the tenant's `seq`, and not yet the task."""
        if seq > self.seq(tenant):
            loop = asyncio.get_running_loop()
            loop.call_later(SETTLED_SECONDS, self._settled, tenant, seq, self._beginnings)

    def _settled(self, tenant: str, seq: int, beginning: int) -> None:
        if beginning == self._beginnings:
            self.advance(tenant, seq)

    def reset(self) -> None:
        """The graph begins anew."""
        self._seq.clear()
        self._promised.clear()
        self._beginnings += 1

    async def reached(self, tenant: str, seq: int, seconds: float) -> bool:
        """Wait until the graph has reached `seq`; False on time-out."""
        if self._seq.get(tenant, 0) >= seq:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (seq, future)
        self._waiting[tenant].append(entry)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        else:
            return True
        finally:
            waiting = self._waiting.get(tenant)
            if waiting and entry in waiting:
                waiting.remove(entry)
            if not waiting:
                self._waiting.pop(tenant, None)

    async def wait_beyond(self, tenant: str, seq: int, seconds: float) -> float:
        """Wait at most `seconds` until the graph is beyond `seq`; the seconds that are left."""
        now = asyncio.get_running_loop().time
        started = now()
        await self.reached(tenant, seq + 1, seconds)
        return max(seconds - (now() - started), 0.0)
