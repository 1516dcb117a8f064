"""A partition of the embedded log, in memory."""

import asyncio


class HeldPartition:
    """What is known of one partition in memory; a view shares that of its base topic."""

    __slots__ = ("changed", "end", "expire_at", "first", "place", "timestamp")

    def __init__(self, place: tuple[int, int], first: int, end: int, timestamp: int) -> None:
        self.place = place
        self.first = first
        self.end = end
        self.timestamp = timestamp
        self.expire_at = 0.0
        self.changed: asyncio.Event | None = None

    def wake(self) -> None:
        """Wake those who wait for a change."""
        if self.changed is not None:
            self.changed.set()
            self.changed = None

    async def change(self) -> None:
        """Wait for one."""
        if self.changed is None:
            self.changed = asyncio.Event()
        await self.changed.wait()
