"""Asking for what was counted in windows of time: the words that both sides share."""

from typing import Any, Literal, Protocol

import msgspec

WindowSize = Literal["minute", "hour", "day"]


class WindowsAsked(msgspec.Struct, frozen=True):
    """The windows of a tenant that begin between two times, in milliseconds since the epoch:
    `until` None is the tenant's newest event, `since` None the last 60 windows before that.
    `capability` None is everything together."""

    tenant: str
    size: WindowSize
    since: int | None = None
    until: int | None = None
    capability: str | None = None


class Analytics(Protocol):
    """Whoever knows what was counted."""

    async def windows(self, asked: WindowsAsked) -> dict[str, Any]:
        """`{"seq": how many events of the tenant are counted, "windows": [{"start": milliseconds,
        "sums": {measure: amount}, "times": {measure: {"count", "p50", "p95", "p99"}}}, …], "total":
        the same of all of them together}`; times in milliseconds. Windows in which nothing was
        counted are left out.

        Raises `Rejected` for too many windows, `Unavailable` while nobody can say."""
        ...
