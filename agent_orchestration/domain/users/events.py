"""Facts about users and their sessions."""

from agent_orchestration.core.messages import Event
from agent_orchestration.domain.users.model import EndReason, UserRole


class UserAdded(Event, frozen=True, kw_only=True):
    """Somebody may log in."""

    ABOUT = "user_id"
    REPLY = ("user_id",)

    user_id: str
    name: str | None
    roles: tuple[UserRole, ...]
    password_hash: str


class UserUpdated(Event, frozen=True, kw_only=True):
    """What is known of a user changed; what is None stayed. `ended` are the sessions that ended
    with it."""

    ABOUT = "user_id"
    REPLY = ("user_id",)

    user_id: str
    name: str | None
    roles: tuple[UserRole, ...] | None
    disabled: bool | None
    password_hash: str | None
    ended: tuple[str, ...]


class SessionBegun(Event, frozen=True, kw_only=True):
    """A user logged in, with these roles. `expires_at` in milliseconds; `ended` are sessions that
    were too many."""

    ABOUT = "session_id"
    REPLY = ("user_id", "roles")

    session_id: str
    user_id: str
    roles: tuple[UserRole, ...]
    token_digest: str
    expires_at: int
    ended: tuple[str, ...]


class SessionRotated(Event, frozen=True, kw_only=True):
    """The session has another refresh token, and its user these roles. `expires_at` in
    milliseconds."""

    ABOUT = "session_id"
    REPLY = ("user_id", "roles")

    session_id: str
    user_id: str
    roles: tuple[UserRole, ...]
    token_digest: str
    expires_at: int


class SessionEnded(Event, frozen=True, kw_only=True):
    """No refresh token of the session is good any more."""

    ABOUT = "session_id"
    REPLY = ("session_id", "reason")

    session_id: str
    reason: EndReason
