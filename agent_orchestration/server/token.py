"""Access tokens for the users of local accounts: `POST /token` with a password or a refresh token
(RFC 6749), and `POST /token/revoke` (RFC 7009)."""

import secrets
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent_orchestration.config_auth import Auth
from agent_orchestration.core.accounts import Accounts, Granted
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable
from agent_orchestration.server.login_limits import Limit, LoginLimits

ACCESS_SECONDS = 15 * 60
"""For how long an access token is good."""
USER_ATTEMPTS = 10
ADDRESS_ATTEMPTS = 50
"""How many attempts may fail within five minutes: as one user or with the tokens of one session,
and to log in from one address."""
TOKEN_PATHS = ("/token", "/token/revoke")
_ID, _SESSION = 128, 200
"""Characters of a user name or tenant, and of what all tokens of a session begin with, at most."""
_FORM_BYTES = 16 * 1024
_FORM_TYPE = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _Refused(Exception):
    """An error of RFC 6749 (section 5.2), on its way to the client."""

    def __init__(self, error: str, description: str, status: int = 400, **headers: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}
        self.status = status
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class TokenEndpoint:
    """The handlers. `accounts` is asked for at each request: it changes when a process takes over
    what another one owned."""

    def __init__(
        self, accounts: Callable[[], Accounts], settings: Auth, limits: LoginLimits | None = None
    ) -> None:
        self._accounts = accounts
        self._settings = settings
        self._limits = limits or LoginLimits()

    async def token(self, request: Request) -> Response:
        """An access token and the next refresh token."""
        return await _answered(self._token, request)

    async def revoke(self, request: Request) -> Response:
        """Whatever was sent is no good token afterwards."""
        return await _answered(self._revoke, request)

    async def _token(self, request: Request) -> Response:
        form = _form(request, await request.body())
        match form.get("grant_type"):
            case "password":
                granted = await self._log_in(form, _address(request))
            case "refresh_token":
                granted = await self._refresh(_needed(form, "refresh_token"))
            case None:
                raise _Refused("invalid_request", "grant_type is missing")
            case _:
                raise _Refused(
                    "unsupported_grant_type", "grant_type must be password or refresh_token"
                )
        answer = {
            "access_token": self._access_token(granted),
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "refresh_token": granted.refresh_token,
        }
        return JSONResponse(answer, headers=_NO_STORE)

    async def _log_in(self, form: dict[str, str], address: str) -> Granted:
        user, password = _needed(form, "username"), _needed(form, "password")
        tenant = form.get("tenant") or DEFAULT_TENANT
        # No user has a longer name, and what is remembered must not be any length.
        limits = [
            (f"user {tenant[:_ID]} {user[:_ID]}", USER_ATTEMPTS),
            (f"address {address}", ADDRESS_ATTEMPTS),
        ]
        try:
            return await self._limited(
                limits, lambda: self._accounts().log_in(tenant, user, password)
            )
        except Rejected:
            raise _Refused(
                "invalid_grant",
                "the user name or the password is wrong",
                401,
                WWW_Authenticate="Bearer",
            ) from None

    async def _refresh(self, token: str) -> Granted:
        limits = [(f"session {token.rpartition('~')[0][:_SESSION]}", USER_ATTEMPTS)]
        try:
            return await self._limited(limits, lambda: self._accounts().refresh(token))
        except Rejected as error:
            raise _Refused("invalid_grant", f"refresh_token: {error.reason}") from None

    async def _limited(self, limits: list[Limit], ask: Callable[[], Awaitable[Granted]]) -> Granted:
        """What is granted, unless too many attempts failed; to be `Rejected` is to fail."""
        if wait := self._limits.attempt(limits):
            raise _Refused(
                "too_many_attempts",
                f"too many attempts failed; wait {ceil(wait)} seconds",
                429,
                Retry_After=str(ceil(wait)),
            )
        try:
            granted = await ask()
        except Rejected:
            raise
        except PlatformError:
            self._limits.succeeded(limits)
            raise
        self._limits.succeeded(limits)
        return granted

    async def _revoke(self, request: Request) -> Response:
        form = _form(request, await request.body())
        await self._accounts().revoke(_needed(form, "token"))
        return Response(headers=_NO_STORE)

    def _access_token(self, granted: Granted) -> str:
        settings = self._settings
        assert settings.secret is not None
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": granted.user_id,
            settings.tenant_claim: granted.tenant,
            settings.roles_claim: list(granted.roles),
            "iat": now,
            "exp": now + ACCESS_SECONDS,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(claims, settings.secret, algorithm="HS256")


async def _answered(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await handle(request)
    except _Refused as refused:
        return JSONResponse(refused.body, refused.status, _NO_STORE | refused.headers)
    except (Busy, Unavailable) as error:
        seconds = str(max(1, round(float(error.details.get("retry_after", 1)))))
        body = {"error": "temporarily_unavailable", "error_description": error.reason}
        return JSONResponse(body, 503, _NO_STORE | {"Retry-After": seconds})


def _form(request: Request, body: bytes) -> dict[str, str]:
    """The parameters, none of them twice."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != _FORM_TYPE:
        raise _Refused("invalid_request", f"send the parameters as {_FORM_TYPE}")
    if len(body) > _FORM_BYTES:
        raise _Refused("invalid_request", f"send {_FORM_BYTES} bytes at most")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
        )
    except ValueError:
        raise _Refused("invalid_request", f"the body is not {_FORM_TYPE} in UTF-8") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _Refused("invalid_request", "a parameter is there twice; send each once")
    return form


def _needed(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise _Refused("invalid_request", f"{name} is missing")
    return form[name]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
