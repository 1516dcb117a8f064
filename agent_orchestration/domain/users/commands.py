"""Intentions about users and their sessions. No password is ever part of one."""

from typing import Annotated

from msgspec import Meta

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Id, Line
from agent_orchestration.domain.users.model import PasswordHash, Roles, Session, TokenDigest

Needs = tuple[tuple[type[Entity], str], ...]


class AddUser(Command, frozen=True, kw_only=True):
    """Let somebody log in."""

    user_id: Id
    name: Line | None = None
    roles: Roles
    password_hash: PasswordHash


class UpdateUser(Command, frozen=True, kw_only=True):
    """Change what is known of a user; what is None stays."""

    user_id: Id
    name: Line | None = None
    roles: Roles | None = None
    disabled: bool | None = None
    password_hash: PasswordHash | None = None


class BeginSession(Command, frozen=True, kw_only=True):
    """The user has sent the right password: the one set at `password_at`, in milliseconds."""

    user_id: Id
    password_at: Annotated[int, Meta(ge=0, le=2**53)]
    session_id: Id
    token_digest: TokenDigest

    def needs(self) -> Needs:
        """The session, in case the id is taken."""
        return ((Session, self.session_id),)


class RotateSession(Command, frozen=True, kw_only=True):
    """Somebody has sent a refresh token of the session, and shall get another."""

    WORK = "goes on"

    session_id: Id
    token_digest: TokenDigest
    next_digest: TokenDigest

    def needs(self) -> Needs:
        """The session, which may have ended."""
        return ((Session, self.session_id),)


class EndSession(Command, frozen=True, kw_only=True):
    """The user logs out."""

    WORK = "ends"

    session_id: Id

    def needs(self) -> Needs:
        """The session, which may have ended."""
        return ((Session, self.session_id),)
