"""Since when things are as they are."""

from collections.abc import Callable, Mapping
from typing import Any

from agent_orchestration.core.entities import to_datetime

Check = dict[str, Any]


class Since:
    """Remembers from one look to the next what was well, and since when.

    Nobody looks by themselves, so a moment is that of the first look at which it was so. `clock`:
    milliseconds since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[bool, int]] = {}

    def noted(self, checks: Mapping[str, Check]) -> dict[str, Check]:
        """Each check, `{"ok": bool, …}`, with `since` (ISO 8601) and for how many `seconds` it was
        so. What is not among them this time begins anew when it comes back."""
        now = self._clock()
        self._seen = {
            name: seen
            if (seen := self._seen.get(name)) and seen[0] == one["ok"]
            else (one["ok"], now)
            for name, one in checks.items()
        }
        return {name: one | self._moment(name, now) for name, one in checks.items()}

    def _moment(self, name: str, now: int) -> Check:
        since = self._seen[name][1]
        seconds = round(max(now - since, 0) / 1000, 1)
        return {"since": to_datetime(since).isoformat(), "seconds": seconds}
