"""What facts about users and their sessions change."""

from collections.abc import Iterable

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.users.events import (
    SessionBegun,
    SessionEnded,
    SessionRotated,
    UserAdded,
    UserUpdated,
)
from agent_orchestration.domain.users.model import EndReason, Session, User


def user_added(state: TenantState, event: UserAdded, context: EventContext) -> None:
    """The user exists."""
    state.add(
        User(
            id=event.user_id,
            name=event.name,
            roles=event.roles,
            password_hash=event.password_hash,
            password_at=context.at,
            added_at=context.at,
        )
    )


def user_updated(state: TenantState, event: UserUpdated, context: EventContext) -> None:
    """The user is as the event says."""
    user = state.change(User, event.user_id)
    if event.name is not None:
        user.name = event.name
    if event.roles is not None:
        user.roles = event.roles
    if event.disabled is not None:
        user.disabled_at = context.at if event.disabled else None
    if event.password_hash is not None:
        user.password_hash = event.password_hash
        user.password_at = context.at
    _end(state, event.ended, "disabled" if event.disabled else "password", context)


def session_begun(state: TenantState, event: SessionBegun, context: EventContext) -> None:
    """The session is open, and those that it replaces have ended."""
    _end(state, event.ended, "replaced", context)
    state.add(
        Session(
            id=event.session_id,
            user_id=event.user_id,
            token_digest=event.token_digest,
            begun_at=context.at,
            expires_at=event.expires_at,
        )
    )


def session_rotated(state: TenantState, event: SessionRotated, _context: EventContext) -> None:
    """Another token is good now, and for as long as the first was."""
    session = state.change(Session, event.session_id)
    session.token_digest = event.token_digest
    session.expires_at = event.expires_at


def session_ended(state: TenantState, event: SessionEnded, context: EventContext) -> None:
    """The session has ended."""
    _end(state, (event.session_id,), event.reason, context)


def _end(
    state: TenantState, sessions: Iterable[str], reason: EndReason, context: EventContext
) -> None:
    for session_id in sessions:
        session = state.change(Session, session_id)
        session.status = "ended"
        session.ended_at = context.at
        session.reason = reason
