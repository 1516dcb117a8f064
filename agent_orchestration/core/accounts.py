"""Local accounts as a server sees them: what users ask for, and what they are granted."""

from typing import Protocol

import msgspec


class Granted(msgspec.Struct, frozen=True):
    """Who may do what, and the refresh token that is good once, for thirty days."""

    tenant: str
    user_id: str
    roles: tuple[str, ...]
    refresh_token: str


class Accounts(Protocol):
    """Begins, goes on with, and ends sessions, and says who may begin none."""

    async def log_in(self, tenant: str, user_id: str, password: str) -> Granted:
        """A new session. Raises `Rejected` (`invalid_grant`) alike for an unknown or disabled user
        and a wrong password, after the same work."""
        ...

    async def refresh(self, token: str) -> Granted:
        """The next refresh token of the session. Raises `Rejected` (`invalid_grant`) for one that
        is not good, and ends the session where it was spent before."""
        ...

    async def revoke(self, token: str) -> None:
        """End the session of a refresh token, whether or not that is still good; what was never
        given out here changes nothing."""
        ...

    async def is_disabled(self, tenant: str, user_id: str) -> bool:
        """Whether a user of that name may not log in any more; nobody else is disabled."""
        ...


class LogIn(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    """Asks for `Accounts.log_in` in another process."""

    tenant: str
    user_id: str
    password: str


class Refresh(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    """Asks for `Accounts.refresh` in another process."""

    token: str


class Revoke(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    """Asks for `Accounts.revoke` in another process."""

    token: str


class IsDisabled(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    """Asks for `Accounts.is_disabled` in another process."""

    tenant: str
    user_id: str


AccountCall = LogIn | Refresh | Revoke | IsDisabled
ACCOUNTS_PATH = "/api/v1/accounts"
"""Where a process asks the one that it has joined."""
