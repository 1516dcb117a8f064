"""A stand-in for a service of language models that runs beside a test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from agent_orchestration.server.serve import serve_http
from agent_orchestration.stand_in_model.app import create_stand_in
from agent_orchestration.stand_in_model.script import Script


class StandIn:
    """Where it is, and what it counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"

    async def usage(self) -> dict[str, Any]:
        """What it was asked since the start."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}/stand-in/usage")).json()


@asynccontextmanager
async def stand_in(script: dict[str, Any] | None = None) -> AsyncGenerator[StandIn]:
    """The server with that script, given as plain data."""
    app = create_stand_in(msgspec.convert(script or {}, type=Script))
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_started(url: str) -> None:
        started.set_result(url)

    serving = asyncio.create_task(serve_http(app, "127.0.0.1", 0, on_started=on_started))
    await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield StandIn(started.result())
    finally:
        serving.cancel()
        await asyncio.wait({serving})
