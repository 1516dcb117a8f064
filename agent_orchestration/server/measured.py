"""Counting requests."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_orchestration import measures

SERVICE = "mcp-server"
TOOL = "agent_orchestration.tool"
"""Where a request's scope holds the name of the tool that it calls, once that is known."""
_ENDED_EARLY = 499
_PATHS = frozenset({"/", "/mcp", "/health", "/ready", "/metrics", "/token", "/token/revoke"})
_API = "/api/v1/"
_PARTS = frozenset(
    {"accounts", "agents", "blobs", "circuit-breakers", "health", "operations", "tasks", "tools"}
)


class Measured:
    """ASGI middleware: counts every request by its status, and how long it takes by where it goes.
    One whose client went away before an answer began counts as 499."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _ENDED_EARLY

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            with measures.REQUESTS_IN_FLIGHT.raised():
                await self._app(scope, receive, noting)
        finally:
            measures.HTTP_SECONDS.observe(time.perf_counter() - began, _endpoint(scope))
            measures.HTTP_REQUESTS.add(SERVICE, str(status))


def _endpoint(scope: Scope) -> str:
    """The tool, or the path without what callers choose; "other" for what is not ours."""
    if tool := scope.get(TOOL):
        return f"tools/{tool}"
    path: str = scope["path"]
    part = path.removeprefix(_API).partition("/")[0]
    if path.startswith(_API) and part in _PARTS:
        return _API + part
    return path if path in _PATHS else measures.OTHER
