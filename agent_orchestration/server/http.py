"""The HTTP application: MCP at `/mcp`, the plain HTTP API, health and status pages."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from fastmcp.server.dependencies import get_http_request
from fastmcp.server.http import StreamableHTTPASGIApp
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_orchestration.config_auth import Auth
from agent_orchestration.core.accounts import ACCOUNTS_PATH, Accounts
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.account_calls import AccountCalls
from agent_orchestration.server.api import Api, Handler, typed
from agent_orchestration.server.disabled_users import DisabledUsers
from agent_orchestration.server.errors import error_response
from agent_orchestration.server.guard import (
    CALLER,
    Abandonment,
    BodyLimit,
    HostGuard,
    Identity,
    SecurityHeaders,
)
from agent_orchestration.server.health import HealthPages
from agent_orchestration.server.mcp import create_mcp
from agent_orchestration.server.measured import Measured
from agent_orchestration.server.protected_resource import METADATA, ProtectedResource
from agent_orchestration.server.token import TOKEN_PATHS, TokenEndpoint
from agent_orchestration.server.tool_calls import ToolCalls
from agent_orchestration.server.toolsets import Toolsets

MCP_PATH = "/mcp"
MAX_BODY = 10 * 1024 * 1024 + 64 * 1024
"""Bytes of a request: 10 MiB of payload and what surrounds it."""


def create_app(
    dispatcher: Dispatcher,
    *,
    toolsets: Toolsets,
    token: str | None,
    tokens: AccessTokens | None = None,
    accounts: Callable[[], Accounts] | None = None,
    allowed_hosts: Sequence[str] | None = None,
    max_body: int = MAX_BODY,
) -> Starlette:
    """The application of a dispatcher.

    `toolsets` are listed by default (None: all). `token` is the server's secret: with it a
    request may rebuild, and name the caller it speaks for. With `tokens` whoever has not that one
    needs one of those, and where a secret signs them, users of `accounts` get them here.
    `allowed_hosts` are names under which the server may be addressed beside loopback; None checks
    only what arrives at loopback.
    """
    server = create_mcp(dispatcher, toolsets=toolsets, caller=_caller_of_request)
    routes = Api(dispatcher, token).routes() + HealthPages(dispatcher).routes()
    disabled = None
    if tokens is not None:
        describe = ProtectedResource(tokens.settings).describe
        routes += [("GET", path, describe) for path in METADATA]
        if accounts is not None and tokens.settings.secret is not None:
            disabled = DisabledUsers(accounts)
            routes += _account_routes(accounts, tokens.settings, token)
    for method, path, handler in routes:
        server.custom_route(path, methods=[method])(handler)
    app = server.http_app(
        path=MCP_PATH,
        stateless_http=True,
        json_response=True,
        # Our guard covers the same and lets probes reach `/health` under any name.
        host_origin_protection=False,
        middleware=[
            Middleware(Measured),
            Middleware(Abandonment),
            Middleware(SecurityHeaders),
            Middleware(HostGuard, allowed_hosts=allowed_hosts),
            Middleware(BodyLimit, limit=max_body),
            Middleware(Identity, token=token, tokens=tokens, disabled=disabled),
            Middleware(ToolCalls, dispatcher=dispatcher, path=MCP_PATH),
        ],
    )
    app.add_exception_handler(HTTPException, _no_route)
    _with_body_limit(app, max_body)
    return app


def _account_routes(
    accounts: Callable[[], Accounts], settings: Auth, token: str | None
) -> list[tuple[str, str, Handler]]:
    endpoint = TokenEndpoint(accounts, settings)
    handlers = (AccountCalls(accounts, token).answer, endpoint.token, endpoint.revoke)
    paths = (ACCOUNTS_PATH, *TOKEN_PATHS)
    return [("POST", path, typed(one)) for path, one in zip(paths, handlers, strict=True)]


def _caller_of_request() -> Caller:
    return get_http_request().scope[CALLER]


async def _no_route(request: Request, error: Exception) -> Response:
    """A typed answer where no route matches, or not with that method."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return error_response(NotFound("no_route", f"{where}: nothing is served there"))
    response = error_response(Rejected("refused", f"{where}: {error.detail}"), error.status_code)
    response.headers.update(error.headers or {})
    return response


def _with_body_limit(app: Starlette, limit: int) -> None:
    """Raise the MCP transport's own limit, 4 MiB and made anew at each start, to ours."""
    transport = next(
        route.endpoint
        for route in app.routes
        if isinstance(route, Route) and isinstance(route.endpoint, StreamableHTTPASGIApp)
    )
    start = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(starting: Starlette) -> AsyncGenerator[None, None]:
        async with start(starting):
            manager = transport.session_manager
            assert manager is not None
            assert isinstance(manager.asgi_app, RequestBodyLimitMiddleware)
            manager.asgi_app.max_body_size = limit
            yield

    app.router.lifespan_context = lifespan
