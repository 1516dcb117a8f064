"""Calling the platform's tools over MCP, as any client does."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

import httpx2
import mcp_types
import msgspec
from fastmcp import Client
from fastmcp.client.transports import ClientTransport
from mcp import MCPError

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import (
    Forbidden,
    PlatformError,
    Unauthenticated,
    Unavailable,
    error_from_dict,
)

ANSWER_SECONDS = 90.0
"""How long to wait for an answer: more than the longest wait that a tool offers."""
T = TypeVar("T")

logger = logging.getLogger(__name__)


class TokenAuth(httpx2.Auth):
    """Sends a bearer token, or none, and keeps why the server refused it, if it did so last: of the
    framework one only hears that something is wrong."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self.refusal: PlatformError | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth`."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        self.refusal = None
        if response.status_code in {401, 403}:
            found = _error((await response.aread()).decode("utf-8", "replace"))
            self.refusal = found if isinstance(found, Unauthenticated | Forbidden) else None


class McpCalls:
    """A `ToolCaller` on an MCP connection that is made when it is needed, and anew when it broke.

    On whose behalf tools run is a matter of the connection: of a call's caller no more is sent than
    the trace that the call belongs to.
    `auth` is that of the connection, where it has one.
    """

    def __init__(
        self, transport: Callable[[], ClientTransport], auth: TokenAuth | None = None
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._connecting = asyncio.Lock()
        self._client: Client[Any] | None = None
        self._connection = AsyncExitStack()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `ToolCaller`."""
        meta = None if caller.traceparent is None else {"traceparent": caller.traceparent}
        answer = await self._asked(
            lambda client: client.call_tool(tool, dict(arguments), raise_on_error=False, meta=meta)
        )
        if answer.is_error:
            texts = (one for one in answer.content if isinstance(one, mcp_types.TextContent))
            text = "\n".join(one.text for one in texts)
            raise _error(text) or PlatformError("tool_error", text)
        return cast("dict[str, Any]", answer.structured_content)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `ToolCaller`."""
        del caller
        found = await self._asked(lambda client: client.read_resource(f"blob://{digest}"))
        content = found[0]
        if isinstance(content, mcp_types.TextResourceContents):
            return content.text.encode()
        return base64.b64decode(content.blob)

    async def close(self) -> None:
        """Close the connection."""
        self._client = None
        await self._connection.aclose()

    async def _asked(self, ask: Callable[[Client[Any]], Awaitable[T]]) -> T:
        client = None
        try:
            client = await self._connected()
            return await ask(client)
        except Exception as error:
            if isinstance(error, MCPError) and (ours := _error(str(error))) is not None:
                raise ours from error
            # Whatever it is, the connection is not to be trusted any more.
            logger.info("the MCP connection broke: %r", error)
            await self._left(client)
            if self._auth is not None and self._auth.refusal is not None:
                raise self._auth.refusal from error
            raise Unavailable("no_answer", f"no answer over MCP: {error}; repeat it") from error

    async def _connected(self) -> Client[Any]:
        async with self._connecting:
            if self._client is None:
                client = Client(self._transport(), timeout=ANSWER_SECONDS)
                await self._connection.enter_async_context(client)
                self._client = client
            return self._client

    async def _left(self, client: Client[Any] | None) -> None:
        async with self._connecting:
            if client is not None and self._client is client:
                await self.close()


def _error(text: str) -> PlatformError | None:
    """The platform's error, as `server.errors.error_text` wrote it; None for somebody else's."""
    try:
        return error_from_dict(msgspec.json.decode(text.rpartition("\n")[2], type=dict[str, Any]))
    except ValueError:
        return None
