"""Example messages about the user ada, who may do everything, and her session `home`."""

import hashlib

from agent_orchestration.domain.users.commands import (
    AddUser,
    BeginSession,
    EndSession,
    RotateSession,
    UpdateUser,
)
from agent_orchestration.domain.users.model import UserRole
from tests.unit.domain import START

ADMIN: tuple[UserRole, ...] = ("admin",)
HASH = "sealed-hash-of-a-password"


def digest(token: str = "first") -> str:
    """What is kept of a refresh token; here its plain hash will do."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(
    user_id: str = "ada", roles: tuple[UserRole, ...] = ADMIN, password_hash: str = HASH
) -> AddUser:
    """Somebody may log in."""
    return AddUser(user_id=user_id, name="Ada", roles=roles, password_hash=password_hash)


def disable(disabled: bool = True) -> UpdateUser:
    """Ada may not log in any more, or may again."""
    return UpdateUser(user_id="ada", disabled=disabled)


def begin(
    session_id: str = "home", user_id: str = "ada", token: str = "first", password_at: int = START
) -> BeginSession:
    """Somebody logs in with the password that was set then."""
    return BeginSession(
        user_id=user_id,
        password_at=password_at,
        session_id=session_id,
        token_digest=digest(token),
    )


def rotate(
    token: str = "first", following: str = "second", session_id: str = "home"
) -> RotateSession:
    """Somebody sends a refresh token."""
    return RotateSession(
        session_id=session_id, token_digest=digest(token), next_digest=digest(following)
    )


def end(session_id: str = "home") -> EndSession:
    """Somebody logs out."""
    return EndSession(session_id=session_id)
