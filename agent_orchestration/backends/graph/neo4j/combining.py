"""Small writes that come while another one is under way go to the server together: a transaction
costs it as much for one event as for many, and each partition has its own small ones."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agent_orchestration.backends.graph import CheckpointMoved, GraphWrite, WriteRefused

#: So many go together at most: what one of them does wrong, the others have to try again.
MOST_WRITES = 64
#: How long a write that is cancelled, and may be committed by now, is waited for.
END_SECONDS = 10.0

Waiting = tuple[GraphWrite, asyncio.Future[None]]


class Combined:
    """Runs writes, several at once where they come at once; each caller gets its own outcome.

    `run` takes all of them in one transaction, or none. Refused, they are tried one by one.
    """

    def __init__(self, run: Callable[[Sequence[GraphWrite]], Awaitable[None]]) -> None:
        self._run = run
        self._queue: list[Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def write(self, write: GraphWrite) -> None:
        """Returns when it is committed; raises what `run` does. Cancelled, it was not begun, or is
        waited for."""
        waiting = write, asyncio.get_running_loop().create_future()
        self._queue.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._drain(), name="writes")
        try:
            await asyncio.shield(waiting[1])
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            else:
                await asyncio.wait([waiting[1]], timeout=END_SECONDS)
            _forget(waiting[1])
            raise

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._together(self._take())
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
        try:
            await self._run([write for write, _ in taken])
        except (CheckpointMoved, WriteRefused) as error:
            if len(taken) == 1:
                _tell(taken, error)
            else:
                for one in taken:
                    await self._together([one])
        except BaseException as error:
            _tell(taken, error)
            if not isinstance(error, Exception):
                raise
        else:
            _tell(taken, None)


def _tell(taken: Sequence[Waiting], error: BaseException | None) -> None:
    for _, outcome in taken:
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
