"""An adaptive limit on what is under way, so that overload makes nobody wait without bound."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from agent_orchestration.core.messages import Work

LONG_SECONDS = 2.0
"""A wait that is too long: the limit is lowered. It grows again where waits are less than half."""
START = 1000
FEWEST = 32
"""Enough for a partition to be decided and folded in batches; fewer would cost throughput."""
GOING_ON = 2.0
"""How many times the limit work that goes on may fill: who was let in is not to be refused on the
way to the end, also when the limit has just been lowered."""
SHRINK, GROWTH = 0.8, 0.1
"""The factor by which the limit is lowered; what each short wait adds while half of it is used."""


class Admission:
    """How many commands of one partition may be under way at once: multiplicative decrease,
    additive increase, by the waits that are measured. What is under way is the rate times the wait
    (Little's law), so the limit bounds the wait whatever the rate is, which nobody has to know.

    `now` gives seconds. What waits for the graph counts as well as what waits to be decided.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._limit: float = START
        self._count = 0
        self._lowered = float("-inf")

    def full(self, work: Work) -> bool:
        """Whether such work would wait too long."""
        if self._count == 0:
            self._limit = max(self._limit, START)  # whatever made others wait is over
        room = self._limit if work == "begins" else GOING_ON * self._limit
        return self._count + 1 > room

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Meanwhile a caller waits. Only how long a success took says something of the load: what
        fails waits for a log or a graph that is away, or for a tenant that was set aside."""
        began = self._now()
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
        self._learn(began)

    def _learn(self, began: float) -> None:
        now, used = self._now(), self._count + 1
        if now - began > LONG_SECONDS:
            # What began before the limit was lowered does not tell what the lower one does.
            if began > self._lowered and used > FEWEST:
                self._limit = max(SHRINK * min(self._limit, used), FEWEST)
                self._lowered = now
        elif now - began < LONG_SECONDS / 2 and used >= self._limit / 2:
            self._limit += GROWTH
