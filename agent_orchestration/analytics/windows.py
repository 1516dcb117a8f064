"""The windows of one tenant: what is counted in each minute, hour and day, by capability."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from agent_orchestration.analytics.buckets import bucket_of

Size = Literal["minute", "hour", "day"]
_MINUTE = 60_000
_DAY = 24 * 60 * _MINUTE
LENGTH_MS: dict[Size, int] = {"minute": _MINUTE, "hour": 60 * _MINUTE, "day": _DAY}
KEPT_MS: dict[Size, int] = {"minute": _DAY, "hour": 30 * _DAY, "day": 400 * _DAY}
"""How long windows are kept, by the time of the tenant's newest event."""
ALL = ""
"""Where everything is counted, whatever capability it is about."""
OTHER = "(other)"
MOST_CAPABILITIES = 100
"""So many capabilities have counts of their own in a window; those that come later share
`OTHER`, which no capability may be called."""
TIMES = ("queue_ms", "run_ms")


class Fact(NamedTuple):
    """Something to count: so much more of a measure; one of `TIMES` is a duration in milliseconds.
    `capabilities` are those that it is about."""

    measure: str
    amount: int
    capabilities: tuple[str, ...]


class Counted(msgspec.Struct):
    """What was counted: sums by measure, and of each duration how many were in which bucket."""

    sums: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    times: dict[str, dict[int, int]] = msgspec.field(default_factory=dict[str, dict[int, int]])

    def add(self, measure: str, amount: int) -> None:
        """One fact more."""
        if measure in TIMES:
            counts = self.times.setdefault(measure, {})
            bucket = bucket_of(amount)
            counts[bucket] = counts.get(bucket, 0) + 1
        else:
            self.sums[measure] = self.sums.get(measure, 0) + amount

    def merge(self, other: "Counted") -> None:
        """All that the other one has, too."""
        for measure, amount in other.sums.items():
            self.sums[measure] = self.sums.get(measure, 0) + amount
        for measure, theirs in other.times.items():
            counts = self.times.setdefault(measure, {})
            for bucket, count in theirs.items():
                counts[bucket] = counts.get(bucket, 0) + count


Window = dict[str, Counted]
"""Capability -> what was counted."""
Place = tuple[Size, int]
"""(size, start in milliseconds since the epoch, a multiple of the size's length)."""


class Windows:
    """All windows of a tenant, by size and start. `changed` has the places of those that are not
    what they were when it was last emptied, those that are gone included."""

    def __init__(self) -> None:
        self.newest = 0
        self.changed: set[Place] = set()
        self._by_size: dict[Size, dict[int, Window]] = {size: {} for size in LENGTH_MS}

    def add(self, at: int, facts: Iterable[Fact]) -> None:
        """Count what happened at a time in milliseconds since the epoch; what is older than any
        window that is kept changes nothing."""
        self.newest = max(self.newest, at)
        for fact in facts:
            for size, length in LENGTH_MS.items():
                start = at - at % length
                if start + KEPT_MS[size] > self.newest:
                    window = self._window(size, start)
                    for name in (ALL, *fact.capabilities):
                        _counted(window, name).add(fact.measure, fact.amount)
                    self.changed.add((size, start))

    def put(self, place: Place, window: Window) -> None:
        """One that was kept elsewhere; `newest` is whoever keeps it to restore, too."""
        self._by_size[place[0]][place[1]] = window

    def get(self, place: Place) -> Window | None:
        """None where nothing was counted, or is not kept any more."""
        return self._by_size[place[0]].get(place[1])

    def of(self, size: Size) -> Mapping[int, Window]:
        """The windows of a size, by start."""
        return self._by_size[size]

    def _window(self, size: Size, start: int) -> Window:
        windows = self._by_size[size]
        found = windows.get(start)
        if found is None:
            # The only moment at which the number of windows grows.
            for old in [one for one in windows if one + KEPT_MS[size] <= self.newest]:
                del windows[old]
                self.changed.add((size, old))
            found = windows[start] = {}
        return found


def _counted(window: Window, name: str) -> Counted:
    found = window.get(name)
    if found is None:
        # `ALL` and `OTHER` are none of them.
        if name != ALL and len(window) > MOST_CAPABILITIES:
            name = OTHER
        found = window.setdefault(name, Counted())
    return found
