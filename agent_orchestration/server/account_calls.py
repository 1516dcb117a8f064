"""What a process that has joined another asks it about local accounts, over HTTP."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agent_orchestration.core.accounts import (
    AccountCall,
    Accounts,
    IsDisabled,
    LogIn,
    Refresh,
    Revoke,
)
from agent_orchestration.core.errors import Forbidden, Rejected
from agent_orchestration.server.callers import has_token


class AccountCalls:
    """Answers who has the server's own token: whoever that is limits attempts to log in."""

    def __init__(self, accounts: Callable[[], Accounts], token: str | None) -> None:
        self._accounts = accounts
        self._token = token

    async def answer(self, request: Request) -> Response:
        """What was granted or found as JSON, null where nothing is."""
        if not has_token(request.headers, self._token):
            raise Forbidden(
                "token_required", "accounts need the server's own token; log in at /token"
            )
        accounts = self._accounts()
        match _call(await request.body()):
            case LogIn(tenant, user_id, password):
                granted = await accounts.log_in(tenant, user_id, password)
            case Refresh(token):
                granted = await accounts.refresh(token)
            case Revoke(token):
                granted = await accounts.revoke(token)
            case IsDisabled(tenant, user_id):
                granted = await accounts.is_disabled(tenant, user_id)
        headers = {"Cache-Control": "no-store"}
        body = msgspec.json.encode({"granted": granted})
        return Response(body, headers=headers, media_type="application/json")


def _call(body: bytes) -> AccountCall:
    try:
        return msgspec.json.decode(body, type=AccountCall)
    except (msgspec.DecodeError, RecursionError):
        # What was sent may hold a password: no part of it is shown.
        raise Rejected(
            "invalid_argument", "body: is no call about accounts", field="body"
        ) from None
