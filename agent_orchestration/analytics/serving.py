"""Questions of servers to the process that counts, over HTTP."""

import hmac
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_orchestration.core.analytics import Analytics, WindowsAsked
from agent_orchestration.core.errors import (
    PlatformError,
    Rejected,
    Unauthenticated,
    Unavailable,
    error_from_dict,
)

PATH = "/windows"
SECONDS = 10.0


def create_app(
    analytics: Analytics, token: str | None, *, ready: Callable[[], bool] = lambda: True
) -> Starlette:
    """Answers `WindowsAsked`, for whichever tenant, to whoever sends the token; `/health`, and
    `/ready` by its status, to anybody."""

    async def windows(request: Request) -> Response:
        try:
            _refuse_stranger(request, token)
            asked = _asked(await request.body())
            return _json(200, await analytics.windows(asked))
        except PlatformError as error:
            return _json(error.http_status, error.to_dict())

    async def health(_request: Request) -> Response:
        return _json(200, {"status": "healthy"})

    async def readiness(_request: Request) -> Response:
        found = ready()
        return _json(200 if found else 503, {"ready": found})

    return Starlette(
        routes=[
            Route(PATH, windows, methods=["POST"]),
            Route("/health", health),
            Route("/ready", readiness),
        ]
    )


def _refuse_stranger(request: Request, token: str | None) -> None:
    given = request.headers.get("authorization", "").encode()
    if token is not None and not hmac.compare_digest(given, _bearer(token).encode()):
        reason = "server.token: is another one here; give both processes the same"
        raise Unauthenticated("wrong_token", reason)


def _asked(body: bytes) -> WindowsAsked:
    try:
        return msgspec.json.decode(body, type=WindowsAsked)
    except msgspec.DecodeError as error:
        raise Rejected("invalid_argument", f"body: {error}") from None


def _json(status: int, content: Any) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _bearer(token: str) -> str:
    return f"Bearer {token}"


class RemoteAnalytics:
    """`core.analytics.Analytics` in the process at `url`; without one nobody can say."""

    def __init__(self, url: str | None, token: str | None) -> None:
        self._url = url
        self._headers = {} if token is None else {"authorization": _bearer(token)}

    async def windows(self, asked: WindowsAsked) -> dict[str, Any]:
        """See `core.analytics.Analytics`."""
        if self._url is None:
            reason = "analytics.url: is not set; start `agent-orchestration analytics`, and name it"
            raise Unavailable("no_analytics", f"{reason} to the servers", field="analytics.url")
        try:
            # A proxy named in the environment is not for a process of the installation.
            async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False) as client:
                body = msgspec.json.encode(asked)
                url = self._url.rstrip("/") + PATH
                response = await client.post(url, content=body, headers=self._headers)
                answer: Any = msgspec.json.decode(response.content)
        except (httpx2.HTTPError, msgspec.DecodeError) as error:
            reason = f"analytics.url: nobody of ours answers ({type(error).__name__}); see that"
            reason += " `agent-orchestration analytics` runs there, and ask again"
            raise Unavailable("no_analytics", reason, field="analytics.url") from error
        if response.is_success:
            return answer
        error = error_from_dict(answer)
        if isinstance(error, Unauthenticated):
            # It is not the caller who has the wrong token.
            raise Unavailable("no_analytics", error.reason, field="server.token")
        raise error
