"""Tools about users."""

from typing import Annotated

from pydantic import AfterValidator, Field

from agent_orchestration.core.dispatch import RESERVED
from agent_orchestration.core.tool import LADDER, Gateway, Role, tool
from agent_orchestration.core.types import Cursor, Id, Key, Line, PageLimit
from agent_orchestration.domain.users.commands import AddUser, UpdateUser
from agent_orchestration.domain.users.model import UserRole
from agent_orchestration.domain.users.views import UserAnswer, Users, UserView, user_answer


def _in_order(roles: list[UserRole]) -> list[UserRole]:
    return sorted(set(roles), key=LADDER.index)


def _not_reserved(user_id: str) -> str:
    if user_id in RESERVED:
        raise ValueError("is a name of the platform itself; choose another")
    return user_id


UserId = Annotated[Id, Field(description="the user name")]
Password = Annotated[
    Line,
    Field(
        min_length=12,
        description="12 characters at least; only a hash of it is kept",
        json_schema_extra={"format": "password"},
    ),
]
RoleList = Annotated[
    list[UserRole],
    Field(min_length=1, max_length=4, description="each includes those after it"),
    AfterValidator(_in_order),
]


@tool(title="Add a user", role=Role.ADMIN, toolsets=("accounts",))
async def add_user(
    gateway: Gateway,
    id: Annotated[UserId, AfterValidator(_not_reserved)],
    password: Password,
    roles: RoleList,
    name: Annotated[Line | None, Field(description="for people")] = None,
    idempotency_key: Key | None = None,
) -> UserAnswer:
    """Let somebody log in at `/token` with a user name and a password."""
    command = AddUser(
        user_id=id,
        name=name,
        roles=tuple(roles),
        password_hash=await gateway.hash_password(id, password, idempotency_key),
    )
    result = await gateway.submit(command, key=idempotency_key)
    return UserAnswer(**await user_answer(gateway, id, result.seq))


@tool(title="Update a user", role=Role.ADMIN, toolsets=("accounts",))
async def update_user(
    gateway: Gateway,
    user_id: UserId,
    name: Annotated[Line | None, Field(description="for people")] = None,
    roles: Annotated[RoleList | None, Field(description="replaces all of them")] = None,
    disabled: Annotated[
        bool | None, Field(description="true: may not log in; false: may again")
    ] = None,
    password: Annotated[Password | None, Field(description="replaces the present one")] = None,
    idempotency_key: Key | None = None,
) -> UserAnswer:
    """Change a user's name, roles or password, or disable the user. What you leave out stays.

    A new password, or to be disabled, ends the user's sessions. Access tokens that are out keep
    the roles of before until they expire, within 15 minutes; those of a disabled user are refused
    within seconds.
    """
    hashed = None
    if password is not None:
        hashed = await gateway.hash_password(user_id, password, idempotency_key)
    command = UpdateUser(
        user_id=user_id,
        name=name,
        roles=None if roles is None else tuple(roles),
        disabled=disabled,
        password_hash=hashed,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return UserAnswer(**await user_answer(gateway, user_id, result.seq))


@tool(title="List users", role=Role.VIEWER, toolsets=("accounts",), read_only=True)
async def list_users(gateway: Gateway, limit: PageLimit = 50, cursor: Cursor = None) -> Users:
    """List who may log in with a password, with roles and open sessions, page by page."""
    rows = await gateway.ask("users", user_id=None, after_id=cursor or "", limit=limit + 1)
    found = [UserView.model_validate(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Users(users=found, next_cursor=more, stale=rows.stale or None)
