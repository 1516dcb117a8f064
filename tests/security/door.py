"""A platform behind its HTTP application, reached without a network."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.http import create_app

URL = "http://127.0.0.1:8000"
SERVER_TOKEN = "the server's own token"
MCP_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}


@asynccontextmanager
async def behind_door(
    platform: Platform, tokens: AccessTokens
) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the platform; who calls has to have a token of `tokens`, or the server's."""
    app = create_app(
        platform,
        toolsets=None,
        token=SERVER_TOKEN,
        tokens=tokens,
        accounts=lambda: platform.accounts,
    )
    transport = httpx2.ASGITransport(app)
    started, ending = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            started.set()
            await ending.wait()

    # The framework wants to end in the task that it was started in; fixtures have no such.
    serving = asyncio.create_task(serve())
    await started.wait()
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            yield client
    finally:
        ending.set()
        await serving


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Platform]:
    """A platform on a folder of its own."""
    platform = Platform(open_backends(Config(data=folder)))
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()


def tool_call(name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of a tool call over MCP."""
    params = {"name": name, "arguments": arguments or {}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
