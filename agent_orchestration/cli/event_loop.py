"""The event loop of processes that serve others, where uvloop is installed."""

from collections.abc import Iterable
from typing import Any

import uvloop


class FastLoop(uvloop.Loop):
    """uvloop, on which connections to others end as they do on asyncio's own loop.

    To write to a connection that the other side has reset raises `RuntimeError` on uvloop. The
    clients of Kafka and Neo4j expect what asyncio does: nothing there, and an `OSError` where they
    wait next. What they do not expect they neither pass on as such nor clean up after.
    """

    async def create_connection(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """See `asyncio.AbstractEventLoop`."""
        transport, protocol = await super().create_connection(*args, **kwargs)
        return _Transport(transport), protocol

    async def start_tls(self, transport: Any, *args: Any, **kwargs: Any) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        inner = transport.inner if isinstance(transport, _Transport) else transport
        return await super().start_tls(inner, *args, **kwargs)


class _Transport:
    """What `inner` does, but for what is written after the end."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, data: bytes) -> None:
        if not self.inner.is_closing():
            self.inner.write(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        if not self.inner.is_closing():
            self.inner.writelines(lines)
