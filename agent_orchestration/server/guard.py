"""ASGI middleware around every route: who may ask, how much they may send, what happens when they
leave. None of it parses a body."""

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import quote

from fastmcp.server.http import HostOriginGuardMiddleware
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_orchestration.core.errors import (
    Forbidden,
    PlatformError,
    Rejected,
    Unauthenticated,
    Unavailable,
)
from agent_orchestration.logs import caller_fields
from agent_orchestration.measures import AUTH_FAILURES
from agent_orchestration.server.access import AccessTokens, authenticated
from agent_orchestration.server.callers import caller_from_headers, correlated, request_id
from agent_orchestration.server.disabled_users import DisabledUsers
from agent_orchestration.server.errors import error_response
from agent_orchestration.server.protected_resource import METADATA, ProtectedResource
from agent_orchestration.server.token import TOKEN_PATHS
from agent_orchestration.server.toolsets import TOOLSETS_HEADER, parse_toolsets

logger = logging.getLogger(__name__)

CALLER = "agent_orchestration.caller"
"""Where a request's scope holds its `Caller`."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_ADMITTED = 100
"""Different addresses of requests that are remembered."""
_IDENTIFIED = ("/mcp", "/api/")
_OPEN = frozenset({"/health", "/ready", *METADATA, *TOKEN_PATHS})
"""What needs no token where everything else does."""
_LONGEST_PATH = 200
"""Characters of a path that the log shows."""
_PATIENCE = 1.0
"""Seconds after which a request is long enough to look whether its client is still there."""


class SecurityHeaders:
    """Adds the security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)


class HostGuard:
    """Refuses foreign `Host` (421) and `Origin` (403) values everywhere but at `/health`.

    Without `allowed_hosts` only requests that arrive at a loopback address are checked.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] | None) -> None:
        self._app = app
        self._guarded = HostOriginGuardMiddleware(
            self._admit, allowed_hosts=allowed_hosts, mode="auto"
        )
        #: Clients say the same each time, and the check takes longer than many a tool.
        self._admitted: set[tuple[object, ...]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        known = scope["type"] == "http" and (
            scope["path"] == "/health" or _addressed(scope) in self._admitted
        )
        await (self._app if known else self._guarded)(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(self._admitted) < _ADMITTED:
            self._admitted.add(_addressed(scope))
        await self._app(scope, receive, send)


def _addressed(scope: Scope) -> tuple[object, ...]:
    """All that the check of a request depends on."""
    headers = Headers(scope=scope)
    server = tuple(scope.get("server") or ())
    return server, scope["scheme"], headers.get("host"), headers.get("origin")


class Identity:
    """Finds out whose request it is and keeps the `Caller` in its scope; refuses what it cannot
    read. With `tokens` every request but those to `_OPEN` has to have one, or the server's own."""

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        tokens: AccessTokens | None,
        disabled: DisabledUsers | None,
    ) -> None:
        self._app = app
        self._token = token
        self._tokens = tokens
        self._disabled = disabled
        self._resource = None if tokens is None else ProtectedResource(tokens.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._is_asked(scope["path"]):
            headers = Headers(scope=scope)
            try:
                if self._tokens is None:
                    caller = caller_from_headers(headers, self._token)
                else:
                    caller = await authenticated(headers, self._token, self._tokens, self._disabled)
                scope[CALLER] = correlated(caller)
                parse_toolsets(headers.get(TOOLSETS_HEADER, ""))
            except PlatformError as error:
                if isinstance(error, Unauthenticated | Forbidden):
                    AUTH_FAILURES.add(error.code)
                _note_refusal(scope, error)
                response = error_response(error)
                if isinstance(error, Unauthenticated) and self._resource is not None:
                    response.headers["WWW-Authenticate"] = self._resource.challenge(scope)
                await response(scope, receive, send)
                return
            with caller_fields(scope[CALLER], request_id(headers)):
                await self._app(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_asked(self, path: str) -> bool:
        return path.startswith(_IDENTIFIED) if self._tokens is None else path not in _OPEN


def _note_refusal(scope: Scope, error: PlatformError) -> None:
    """One line for a token that is refused, of which the log shows one now and then in a flood.
    Nothing that the caller wrote but the path is in it, and that cannot end the line."""
    if "authorization" in Headers(scope=scope) and isinstance(error, Unauthenticated | Forbidden):
        address = scope["client"][0] if scope.get("client") else "unknown"
        path = quote(scope["path"][:_LONGEST_PATH])
        logger.warning("refused a token (%s) from %s for %s: %s", error.code, address, path, error)


class _BodyTooLarge(BaseException):
    """Passes every handler of errors on its way out to the middleware that raised it."""


class BodyLimit:
    """Counts the bytes of a request's body as they arrive and answers 413 beyond `limit`."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self._limit):
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise _BodyTooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _BodyTooLarge:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413. What is still on its way is read and dropped, up to four bodies: a client
        that is busy sending would otherwise see a broken connection and not the answer."""
        left = 0 if "expect" in Headers(scope=scope) else 4 * self._limit
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                break
        error = Rejected(
            "body_too_large",
            f"the request is larger than {self._limit} bytes; send less, or in several calls",
            limit=self._limit,
        )
        response = error_response(error, 413)
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


class Abandonment:
    """Cancels a request whose client has gone, so that nothing is claimed for nobody; a request
    cancelled for another reason (the server stops) is answered 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive, send, task)
        patience = asyncio.get_running_loop().call_later(_PATIENCE, watch.start)
        try:
            await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            if watch.answering and not watch.gone:
                raise
            task.uncancel()
            if not watch.gone:
                reason = "the server is stopping; repeat the same request in a moment"
                await error_response(Unavailable("stopping", reason))(scope, receive, send)
        finally:
            patience.cancel()
            watch.stop()


class _Watch:
    """Waits for the client's disconnect once its body has arrived, and then cancels the request."""

    def __init__(self, receive: Receive, send: Send, request: asyncio.Task[object]) -> None:
        self._receive = receive
        self._send = send
        self._request = request
        self._arrived = False
        self._due = False
        self._waiting: asyncio.Task[None] | None = None
        self.answering = False
        self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._arrived = not message.get("more_body", False)
        self._begin()
        return message

    async def send(self, message: Message) -> None:
        self.answering = True
        await self._send(message)

    def start(self) -> None:
        self._due = True
        self._begin()

    def stop(self) -> None:
        self._due = False
        if self._waiting is not None:
            self._waiting.cancel()

    def _begin(self) -> None:
        # Before the body has arrived the next message belongs to whoever reads it.
        if self._due and self._arrived and self._waiting is None:
            self._waiting = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._request.cancel()
