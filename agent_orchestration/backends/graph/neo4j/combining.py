"""Small writes that come while another one is under way go to the server together: a transaction
costs it as much for one event as for many, and each partition has its own small ones."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agent_orchestration.backends.graph import GraphWrite

#: So many go together at most: one goes wrong, and the others have to try again.
MOST_WRITES = 16
#: How long a write that is cancelled, and may be committed by now, is waited for.
END_SECONDS = 10.0

Waiting = tuple[GraphWrite, asyncio.Future[None]]


class Combined:
    """Runs writes, several at once where they come at once; each caller gets its own outcome.

    `run` takes all of them in one transaction, or none. What fails together is tried one by one,
    and a partition whose last write failed, or that is new here, writes by itself: nobody waits for
    a lock that another partition cannot get.
    """

    def __init__(self, run: Callable[[Sequence[GraphWrite]], Awaitable[None]]) -> None:
        self._run = run
        self._queue: list[Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()
        #: The partitions whose last write was taken.
        self._taken: set[int] = set()

    async def write(self, write: GraphWrite) -> None:
        """Returns when it is committed; raises what `run` does. Cancelled, it was not begun, or is
        waited for."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = write, outcome
        if write.partition not in self._taken:
            task = asyncio.create_task(self._one(waiting), name="write")
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)
        else:
            self._queue.append(waiting)
            if self._running is None:
                self._running = asyncio.create_task(self._drain(), name="writes")
        try:
            await asyncio.shield(outcome)
        except asyncio.CancelledError:
            try:
                if waiting in self._queue:
                    self._queue.remove(waiting)
                else:
                    await asyncio.wait([outcome], timeout=END_SECONDS)
            finally:
                _forget(outcome)
            raise

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._together(self._take())
        except BaseException as error:
            _tell(self._queue, error)
            self._queue = []
            raise
        finally:
            self._running = None

    def _take(self) -> list[Waiting]:
        """What goes together: of each partition the first, for only one of its writes can follow
        the position that it holds."""
        first: dict[int, Waiting] = {}
        for waiting in self._queue:
            if len(first) < MOST_WRITES:
                first.setdefault(waiting[0].partition, waiting)
        taken = list(first.values())
        self._queue = [one for one in self._queue if one not in taken]
        return taken

    async def _together(self, taken: Sequence[Waiting]) -> None:
        if len(taken) == 1:
            await self._one(taken[0])
            return
        try:
            await self._run([write for write, _ in taken])
        except Exception:
            # Whoever was committed all the same finds its position moved, and goes on from there.
            await asyncio.gather(*map(self._one, taken))
        except BaseException as error:
            _tell(taken, error)
            raise
        else:
            _tell(taken, None)

    async def _one(self, waiting: Waiting) -> None:
        write, outcome = waiting
        if outcome.done():
            return  # whoever asked has left
        try:
            await self._run([write])
        except BaseException as error:
            self._taken.discard(write.partition)
            _tell([waiting], error)
            if not isinstance(error, Exception):
                raise
        else:
            self._taken.add(write.partition)
            _tell([waiting], None)


def _tell(told: Sequence[Waiting], error: BaseException | None) -> None:
    for _, outcome in told:
        if outcome.done():
            continue
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)


def _forget(outcome: asyncio.Future[None]) -> None:
    """Nobody asks for it any more."""
    if not outcome.cancel() and not outcome.cancelled():
        outcome.exception()
