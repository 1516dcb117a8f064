"""Questions about users that decisions ask."""

from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.domain.users.model import Session

Filed = tuple[str, int, str]
"""User, beginning and id of a session."""


class OpenSessions(StateIndex[Session]):
    """The open sessions of each user."""

    ENTITY = Session

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._sessions: dict[str, set[tuple[int, str]]] = {}

    def key(self, entity: Session) -> Filed | None:
        """The user of an open session, and when it began."""
        if entity.user_id is None or not entity.is_live():
            return None
        return entity.user_id, entity.begun_at, entity.id

    def put(self, key: Filed, entity: Session) -> None:
        """A session more."""
        user_id, begun_at, session_id = key
        self._sessions.setdefault(user_id, set()).add((begun_at, session_id))

    def drop(self, key: Filed, entity: Session) -> None:
        """A session less."""
        user_id, begun_at, session_id = key
        sessions = self._sessions[user_id]
        sessions.discard((begun_at, session_id))
        if not sessions:
            del self._sessions[user_id]

    def of(self, user_id: str) -> tuple[str, ...]:
        """The ids of a user's open sessions, the oldest first."""
        return tuple(session_id for _, session_id in sorted(self._sessions.get(user_id, ())))
