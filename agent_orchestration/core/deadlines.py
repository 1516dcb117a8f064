"""Deadlines in order of time, each of which can be replaced or dropped at any time."""

import heapq
from typing import Generic, TypeVar

Entry = TypeVar("Entry", bound=tuple[int, *tuple[object, ...]])


class Deadlines(Generic[Entry]):
    """At most one entry per id; an entry is a tuple that begins with its time in milliseconds.

    Dropped entries stay in the heap until they come up or outnumber the others.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Entry, str]] = []
        self._entries: dict[str, Entry] = {}

    def put(self, key: str, entry: Entry) -> None:
        """The id's deadline from now on."""
        self._entries[key] = entry
        heapq.heappush(self._heap, (entry, key))

    def drop(self, key: str) -> None:
        """The id has no deadline any more."""
        del self._entries[key]
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = sorted((entry, key) for key, entry in self._entries.items())

    def first(self) -> Entry | None:
        """The earliest entry, or None."""
        while self._heap and not self._is_current(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def until(self, at: int) -> list[Entry]:
        """The entries up to `at`, in order; looks at no later ones than a heap has to."""
        found: list[Entry] = []
        look = [0]
        while look:
            place = look.pop()
            if place < len(self._heap) and self._heap[place][0][0] <= at:
                if self._is_current(*self._heap[place]):
                    found.append(self._heap[place][0])
                look += [2 * place + 1, 2 * place + 2]
        return sorted(set(found))

    def _is_current(self, entry: Entry, key: str) -> bool:
        return self._entries.get(key) == entry
