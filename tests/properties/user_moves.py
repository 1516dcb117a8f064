"""The moves about users and their sessions."""

import hashlib

from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.users.commands import (
    AddUser,
    BeginSession,
    EndSession,
    RotateSession,
    UpdateUser,
)
from agent_orchestration.domain.users.model import Session, User, UserRole
from tests.properties.move import Make, Move

ROLES: tuple[UserRole, ...] = ("admin", "operator", "analyst", "viewer")


def _add(_state: TenantState, move: Move, _now: int) -> Command:
    return AddUser(
        user_id=_user(move),
        name=move.line() if move.number % 2 else None,
        roles=ROLES[move.number % 4 :],
        password_hash=_hash(move),
    )


def _update(_state: TenantState, move: Move, _now: int) -> Command:
    return UpdateUser(
        user_id=_user(move),
        name=move.line() if move.number % 3 == 1 else None,
        roles=ROLES[move.number % 4 :] if move.number % 2 else None,
        disabled=(None, None, True, False)[move.number % 4],
        password_hash=_hash(move) if move.number % 5 == 4 else None,
    )


def _begin(state: TenantState, move: Move, _now: int) -> Command:
    user = state.get(User, _user(move))
    return BeginSession(
        user_id=_user(move),
        password_at=0 if user is None or move.number == 0 else user.password_at,
        session_id=f"s{move.number}",
        token_digest=_digest(move.number),
    )


def _rotate(state: TenantState, move: Move, _now: int) -> Command:
    session = _some_session(state, move)
    return RotateSession(
        session_id=f"s{move.number}" if session is None else session.id,
        token_digest=(
            _digest(move.task) if session is None or move.number % 5 == 0 else session.token_digest
        ),
        next_digest=_digest(move.number + 100),
    )


def _end(state: TenantState, move: Move, _now: int) -> Command:
    session = _some_session(state, move)
    return EndSession(session_id=f"s{move.number}" if session is None else session.id)


def _user(move: Move) -> str:
    return f"u{move.agent % 2}"


def _hash(move: Move) -> str:
    return f"sealed-hash-{move.number:04}"


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _some_session(state: TenantState, move: Move) -> Session | None:
    """Mostly an open one."""
    found = sorted((not one.is_live(), one.id) for one in state.all(Session))
    return state.get(Session, found[move.task * 2 % len(found)][1]) if found else None


USERS: dict[str, Make] = {
    "add user": _add,
    "update user": _update,
    "begin session": _begin,
    "rotate session": _rotate,
    "end session": _end,
}
"""Kind of move -> what makes its command."""
