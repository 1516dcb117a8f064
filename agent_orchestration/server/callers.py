"""Who is calling over HTTP: from headers to a `Caller`, and back for a process that forwards one.

Without authentication every caller is the local operator; with it, who the token says. The server's
own token lets another process name the caller it acts for: that of the data folder, which only its
owner can read, or the one in the settings that replicas share.
"""

import hmac
import json
import re
import uuid
from collections.abc import Mapping

import msgspec

from agent_orchestration.core.dispatch import LOCAL_OPERATOR, Caller
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Forbidden, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.core.types import TRACEPARENT

CORRELATION = "X-Correlation-Id"
REQUEST_ID = "X-Request-Id"
PRINCIPAL = "X-Principal"
TENANT = "X-Tenant"

_VISIBLE = re.compile(r"[\x21-\x7e]{1,128}")


def caller_from_headers(headers: Mapping[str, str], token: str | None) -> Caller:
    """The caller a request speaks for; `headers` are looked up without regard to case.

    Raises `Forbidden` for a wrong token or an identity without one, `Rejected` for a header that
    cannot be read. A malformed `traceparent` is ignored, as its standard asks.
    """
    trusted = has_token(headers, token)
    if "authorization" in headers and token is not None and not trusted:
        raise Forbidden(
            "wrong_token",
            "Authorization: the token is not this server's; read it again from the data folder, or "
            "from server.token in the settings, or leave the header out to act as the local "
            "operator",
        )
    if not trusted and (PRINCIPAL in headers or TENANT in headers):
        raise Forbidden(
            "token_required",
            f"{PRINCIPAL} and {TENANT} need the server's token (the data folder's, or "
            "server.token) in Authorization: Bearer; leave them out to act as the local operator",
        )
    return Caller(
        principal=_principal(headers.get(PRINCIPAL)),
        tenant=_visible(headers, TENANT) or DEFAULT_TENANT,
        **conversation(headers),
    )


def has_token(headers: Mapping[str, str], token: str | None) -> bool:
    """Whether the request has the token that is for those who are trusted."""
    given = bearer_token(headers)
    if token is None or given is None:
        return False
    return hmac.compare_digest(given.encode(), token.encode())


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The bearer token of a request, None where it has none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def conversation(headers: Mapping[str, str]) -> dict[str, str | None]:
    """What a request belongs to, whoever sends it."""
    traceparent = headers.get("traceparent", "")
    return {
        "correlation": _visible(headers, CORRELATION),
        "traceparent": traceparent if TRACEPARENT.fullmatch(traceparent) else None,
    }


def request_id(headers: Mapping[str, str]) -> str | None:
    """What a proxy, or whoever else sent it, knows the request by; None where it says nothing that
    can be read: it only serves to find lines of logs."""
    text = headers.get(REQUEST_ID, "")
    return text if _VISIBLE.fullmatch(text) else None


def correlated(caller: Caller) -> Caller:
    """The caller with a correlation: a new one where it has none."""
    if caller.correlation is not None:
        return caller
    return msgspec.structs.replace(caller, correlation=uuid.uuid4().hex)


def traced(caller: Caller, traceparent: object) -> Caller:
    """The caller of an MCP request whose `_meta` has that `traceparent`, which goes before that of
    the HTTP request; a malformed one is ignored."""
    if not isinstance(traceparent, str) or not TRACEPARENT.fullmatch(traceparent):
        return caller
    return msgspec.structs.replace(caller, traceparent=traceparent)


def headers_for(
    caller: Caller, token: str | None, access_token: str | None = None
) -> dict[str, str]:
    """The headers with which a process forwards a call: one of the same owner with its token. An
    `access_token` goes before it, and says by itself who calls."""
    headers: dict[str, str] = {}
    if access_token is not None:
        headers = {"Authorization": f"Bearer {access_token}"}
    elif token is not None:
        principal = json.dumps(msgspec.to_builtins(caller.principal), separators=(",", ":"))
        headers = {"Authorization": f"Bearer {token}", PRINCIPAL: principal, TENANT: caller.tenant}
    if caller.correlation is not None:
        headers[CORRELATION] = caller.correlation
    if caller.traceparent is not None:
        headers["traceparent"] = caller.traceparent
    return headers


def _principal(text: str | None) -> Principal:
    if text is None:
        return LOCAL_OPERATOR
    try:
        principal = msgspec.json.decode(text, type=Principal)
        Role(principal.role)
    except ValueError as error:
        raise Rejected(
            "invalid_header",
            f'{PRINCIPAL}: {error}; send JSON like {{"id": "ada", "role": "operator"}}',
            field=PRINCIPAL,
        ) from None
    return principal


def _visible(headers: Mapping[str, str], name: str) -> str | None:
    text = headers.get(name)
    if text is not None and not _VISIBLE.fullmatch(text):
        raise Rejected(
            "invalid_header", f"{name}: send 1 to 128 visible ASCII characters", field=name
        )
    return text
