"""An application that is served beside a test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from agent_orchestration.server.serve import serve_http


@asynccontextmanager
async def listening(app: Starlette) -> AsyncGenerator[str]:
    """Its address on this machine."""
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_started(url: str) -> None:
        started.set_result(url)

    serving = asyncio.create_task(serve_http(app, "127.0.0.1", 0, on_started=on_started))
    await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield started.result()
    finally:
        serving.cancel()
        await asyncio.wait({serving})
