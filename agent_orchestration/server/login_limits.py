"""How often somebody may try to log in."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

SECONDS = 300.0
"""After so long, what failed is forgotten."""
MOST_REMEMBERED = 10_000
"""Users and addresses that are remembered; beyond that, the first to be forgotten anyway are."""

Limit = tuple[str, int]
"""Who tries, and how many attempts may fail."""


class LoginLimits:
    """Counts attempts to log in until they succeed. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: How many attempts, and until when they count; in order of the latter.
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, limits: Iterable[Limit]) -> float:
        """Count an attempt, or answer how many seconds to wait for the next one. It counts before
        its outcome is known: else many at once would all be let in."""
        now = self._clock()
        limits = list(limits)
        wait = max(self._wait(who, most, now) for who, most in limits)
        if wait:
            return wait
        for who, _ in limits:
            count, until = self._counted.get(who, (0, now + SECONDS))
            self._counted[who] = count + 1, until
        while len(self._counted) > MOST_REMEMBERED:
            self._counted.popitem(last=False)
        return 0.0

    def succeeded(self, limits: Iterable[Limit]) -> None:
        """The attempt did not fail; nor does it make up for others that did."""
        for who, _ in limits:
            count, until = self._counted.get(who, (0, 0.0))
            if count > 1:
                self._counted[who] = count - 1, until
            else:
                self._counted.pop(who, None)

    def _wait(self, who: str, most: int, now: float) -> float:
        count, until = self._counted.get(who, (0, 0.0))
        if until <= now:
            self._counted.pop(who, None)
            return 0.0
        return until - now if count >= most else 0.0
