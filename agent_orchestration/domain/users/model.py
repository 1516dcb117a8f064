"""The entities `User` and `Session`."""

from typing import Annotated, Literal

from msgspec import Meta

from agent_orchestration.core.entities import Entity, Relationship, Time
from agent_orchestration.core.errors import Rejected

HASH_PATTERN = r"^[A-Za-z0-9_-]{16,200}(?!\n)$"
DIGEST_PATTERN = r"^[0-9a-f]{64}(?!\n)$"
SESSION_MS = 30 * 24 * 60 * 60 * 1000
"""For how long a refresh token is good."""
MOST_SESSIONS = 10
"""The open sessions of a user: the next one ends the oldest, so a login never fails for them."""

UserRole = Literal["admin", "operator", "analyst", "viewer"]
Roles = Annotated[tuple[UserRole, ...], Meta(min_length=1, max_length=4)]
PasswordHash = Annotated[str, Meta(pattern=HASH_PATTERN)]
"""A bcrypt hash under the seal of the installation, see `passwords`."""
TokenDigest = Annotated[str, Meta(pattern=DIGEST_PATTERN)]
"""The keyed SHA-256 of a refresh token."""
EndReason = Literal["logout", "reuse", "expired", "password", "disabled", "replaced"]
"""Why a session ended: `reuse` is a refresh token that was spent before, `replaced` a user with too
many of them."""


def invalid_grant(why: str) -> Rejected:
    """The error for a password or refresh token that is not good."""
    return Rejected("invalid_grant", f"{why}; log in again")


class User(Entity, kw_only=True):
    """Somebody who may log in with a password; the id is the user name."""

    LABEL = "User"

    name: str | None = None
    roles: tuple[UserRole, ...]
    password_hash: PasswordHash
    password_at: Time = 0
    added_at: Time = 0
    disabled_at: Time | None = None


class Session(Entity, kw_only=True):
    """A login and what was refreshed since: one refresh token is good at a time."""

    LABEL = "Session"
    RELATIONSHIPS = (Relationship("SESSION_OF", "user_id", "User"),)
    LIVE = "n.status = 'open'"

    # Every session has a user; a node by itself, without its relationships, has not.
    user_id: str | None = None
    status: Literal["open", "ended"] = "open"
    token_digest: TokenDigest
    begun_at: Time = 0
    expires_at: Time = 0
    ended_at: Time | None = None
    reason: EndReason | None = None

    def is_live(self) -> bool:
        """An ended session never changes again."""
        return self.status == "open"
