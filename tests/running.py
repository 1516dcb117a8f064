"""What is started before a block and stopped after it, however it ends."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar


class Startable(Protocol):
    """A log, a graph, backends or a platform."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


T = TypeVar("T", bound=Startable)


@asynccontextmanager
async def running(part: T) -> AsyncGenerator[T]:
    """The part, at work."""
    try:
        await part.start()
        yield part
    finally:
        await part.stop()
