"""Users as tools show them: nothing that a password or a token could be found from."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from agent_orchestration.core.guards import unknown
from agent_orchestration.core.tool import Gateway, Output
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.domain.users.model import User, UserRole


class UserView(BaseModel):
    """A user as the graph has it."""

    id: str
    name: str | None = None
    roles: list[UserRole]
    added_at: datetime
    password_at: datetime = Field(description="when the password was set")
    disabled_at: datetime | None = None
    sessions: int = Field(description="where the user is logged in, at most 10")


class UserAnswer(Output):
    """A user, and the sequence number at which it was so."""

    user: UserView
    seq: int


class Users(Output):
    """A page of users."""

    users: list[UserView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


@read_whole
async def user_answer(gateway: Gateway, user_id: str, seq: int) -> dict[str, Any]:
    """The fields of a `UserAnswer`; `NotFound` where there is no such user."""
    rows = await gateway.ask("users", at_least=seq, user_id=user_id, after_id="", limit=1)
    if not rows:
        raise unknown(User, user_id)
    return {
        "user": UserView.model_validate(rows[0]),
        "seq": max(seq, rows.seq),
        "stale": rows.stale or None,
    }
