"""Local accounts: from a password, or a refresh token, to a session and the next refresh token."""

import secrets
from collections.abc import Awaitable, Callable

from agent_orchestration.core.accounts import Granted
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.core.types import is_id
from agent_orchestration.domain.users.commands import BeginSession, EndSession, RotateSession
from agent_orchestration.domain.users.model import User, invalid_grant
from agent_orchestration.passwords import Passwords
from agent_orchestration.pipeline.loading import load_entities
from agent_orchestration.pipeline.services import Services

CATCH_UP_SECONDS = 10.0
_PROOF = 32
"""Characters that prove that a token was given out here."""


class LocalAccounts:
    """The accounts of the platform in this process: see `core.accounts.Accounts`.

    A refresh token names its tenant and session, proves that they were given out here, and ends
    with 32 random bytes. Only its keyed digest is kept. The proof keeps those who can read ids of
    sessions from ending them, and made-up tokens out of the log.
    """

    def __init__(
        self,
        services: Services,
        passwords: Passwords,
        caught_up: Callable[[str, float], Awaitable[bool]],
    ) -> None:
        self._bus = services.bus
        self._graph = services.graph
        self._registry = services.registry
        self._passwords = passwords
        self._caught_up = caught_up

    async def log_in(self, tenant: str, user_id: str, password: str) -> Granted:
        """See `core.accounts.Accounts`."""
        user = await self._user(tenant, user_id)
        kept = None if user is None or user.disabled_at is not None else user.password_hash
        right = await self._passwords.right(tenant, user_id, password, kept)
        if user is None or not right:
            raise invalid_grant("the user name or the password is wrong")
        session_id = f"session-{secrets.token_hex(8)}"
        token = self._new_token(tenant, session_id)
        command = BeginSession(
            user_id=user_id,
            password_at=user.password_at,
            session_id=session_id,
            token_digest=self._passwords.digest(token),
        )
        result = await self._bus.submit(command, _caller(tenant, user_id, user.roles[0]))
        return Granted(tenant, user_id, tuple(result.data["roles"]), token)

    async def refresh(self, token: str) -> Granted:
        """See `core.accounts.Accounts`."""
        tenant, session_id = self._parts(token)
        following = self._new_token(tenant, session_id)
        command = RotateSession(
            session_id=session_id,
            token_digest=self._passwords.digest(token),
            next_digest=self._passwords.digest(following),
        )
        result = await self._bus.submit(command, _caller(tenant, session_id))
        if "reason" in result.data:
            raise invalid_grant(f"the session has ended ({result.data['reason']})")
        return Granted(tenant, result.data["user_id"], tuple(result.data["roles"]), following)

    async def revoke(self, token: str) -> None:
        """See `core.accounts.Accounts`."""
        try:
            tenant, session_id = self._parts(token)
        except Rejected:
            return
        await self._bus.submit(EndSession(session_id=session_id), _caller(tenant, session_id))

    async def is_disabled(self, tenant: str, user_id: str) -> bool:
        """See `core.accounts.Accounts`; as the graph has it."""
        user = await self._stored(tenant, user_id)
        return user is not None and user.disabled_at is not None

    async def _user(self, tenant: str, user_id: str) -> User | None:
        """The user as the graph has it, once that has what this process knows of."""
        if not (is_id(tenant) and is_id(user_id)):
            return None
        await self._caught_up(tenant, CATCH_UP_SECONDS)
        return await self._stored(tenant, user_id)

    async def _stored(self, tenant: str, user_id: str) -> User | None:
        state = self._registry.new_state(tenant, decides=False)
        await load_entities(self._graph, state, [(User, user_id)])
        return state.get(User, user_id)

    def _new_token(self, tenant: str, session_id: str) -> str:
        proof = self._proof(tenant, session_id)
        return f"{tenant}~{session_id}~{proof}~{secrets.token_urlsafe(32)}"

    def _parts(self, token: str) -> tuple[str, str]:
        """Tenant and session of a token that was given out here."""
        tenant, session_id, proof, *_ = *token.split("~"), "", "", ""
        if not secrets.compare_digest(proof.encode(), self._proof(tenant, session_id).encode()):
            raise invalid_grant("the refresh token is not one of this installation")
        return tenant, session_id

    def _proof(self, tenant: str, session_id: str) -> str:
        return self._passwords.digest(f"{tenant}~{session_id}")[:_PROOF]


def _caller(tenant: str, who: str, role: str = Role.VIEWER.value) -> Caller:
    return Caller(principal=Principal(who, role), tenant=tenant)
