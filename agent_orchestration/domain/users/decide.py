"""Decisions about users and their sessions."""

from agent_orchestration.core.guards import known, refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.users.commands import (
    AddUser,
    BeginSession,
    EndSession,
    RotateSession,
    UpdateUser,
)
from agent_orchestration.domain.users.events import (
    SessionBegun,
    SessionEnded,
    SessionRotated,
    UserAdded,
    UserUpdated,
)
from agent_orchestration.domain.users.index import OpenSessions
from agent_orchestration.domain.users.model import (
    MOST_SESSIONS,
    SESSION_MS,
    Session,
    User,
    invalid_grant,
)


def add_user(state: TenantState, command: AddUser, _context: CommandContext) -> UserAdded:
    """The user name must be free."""
    refuse_taken(state, User, command.user_id, "choose another name, or update this user")
    return UserAdded(
        user_id=command.user_id,
        name=command.name,
        roles=command.roles,
        password_hash=command.password_hash,
    )


def update_user(
    state: TenantState, command: UpdateUser, _context: CommandContext
) -> UserUpdated | Nothing:
    """What is so already is nothing to do. With another password, or disabled, the user has to log
    in again everywhere."""
    user = known(state, User, command.user_id)
    name = None if command.name == user.name else command.name
    roles = None if command.roles == user.roles else command.roles
    disabled = None if command.disabled == (user.disabled_at is not None) else command.disabled
    password = None if command.password_hash == user.password_hash else command.password_hash
    if (name, roles, disabled, password) == (None, None, None, None):
        return Nothing({"user_id": user.id})
    ends = disabled or password is not None
    return UserUpdated(
        user_id=user.id,
        name=name,
        roles=roles,
        disabled=disabled,
        password_hash=password,
        ended=state.index(OpenSessions).of(user.id) if ends else (),
    )


def begin_session(
    state: TenantState, command: BeginSession, context: CommandContext
) -> SessionBegun:
    """The password may have changed since it was compared."""
    user = state.get(User, command.user_id)
    if user is None or user.disabled_at is not None or user.password_at != command.password_at:
        raise invalid_grant("the user name or the password is wrong")
    refuse_taken(state, Session, command.session_id)
    open_sessions = state.index(OpenSessions).of(user.id)
    return SessionBegun(
        session_id=command.session_id,
        user_id=user.id,
        roles=user.roles,
        token_digest=command.token_digest,
        expires_at=context.at + SESSION_MS,
        ended=open_sessions[: max(len(open_sessions) - MOST_SESSIONS + 1, 0)],
    )


def rotate_session(
    state: TenantState, command: RotateSession, context: CommandContext
) -> SessionRotated | SessionEnded:
    """A token that was spent before has been stolen, or its successor has: nobody can tell which,
    so the session ends."""
    session = state.get(Session, command.session_id)
    if session is None or session.status != "open":
        raise invalid_grant("the session has ended")
    if context.at >= session.expires_at:
        return SessionEnded(session_id=session.id, reason="expired")
    if command.token_digest != session.token_digest:
        return SessionEnded(session_id=session.id, reason="reuse")
    user = known(state, User, str(session.user_id))
    return SessionRotated(
        session_id=session.id,
        user_id=user.id,
        roles=user.roles,
        token_digest=command.next_digest,
        expires_at=context.at + SESSION_MS,
    )


def end_session(
    state: TenantState, command: EndSession, _context: CommandContext
) -> SessionEnded | Nothing:
    """One that has ended, or never was, needs nothing."""
    session = state.get(Session, command.session_id)
    if session is None or session.status != "open":
        return Nothing()
    return SessionEnded(session_id=session.id, reason="logout")
