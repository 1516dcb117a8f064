"""Who is disabled, as a server hears of it."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from agent_orchestration.core.accounts import Accounts
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.server import disabled_users
from agent_orchestration.server.disabled_users import KEPT_SECONDS, DisabledUsers


class Known:
    """Accounts that only say who is disabled, unless they are away; `asked` counts."""

    def __init__(self) -> None:
        self.disabled: set[tuple[str, str]] = set()
        self.away = self.silent = False
        self.asked = 0
        self.now = 1000.0

    async def is_disabled(self, tenant: str, user_id: str) -> bool:
        self.asked += 1
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if self.away:
            raise Unavailable("graph", "the graph cannot be reached")
        return (tenant, user_id) in self.disabled


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def users(known: Known) -> DisabledUsers:
    return DisabledUsers(lambda: cast("Accounts", known), lambda: known.now)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(disabled_users, "PATIENCE_SECONDS", 0.01)
        yield


async def test_what_was_heard_is_believed_for_seconds(known: Known, users: DisabledUsers) -> None:
    assert not await users.include("acme", "ada")
    known.disabled.add(("acme", "ada"))
    known.now += KEPT_SECONDS - 0.1
    assert not await users.include("acme", "ada")
    assert known.asked == 1
    known.now += 0.1
    assert await users.include("acme", "ada")
    assert not await users.include("acme", "bob")
    assert not await users.include("globex", "ada")
    known.disabled.clear()
    assert await users.include("acme", "ada")
    known.now += KEPT_SECONDS
    assert not await users.include("acme", "ada")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["away", "silent"])
async def test_while_nobody_can_say_it_stays_as_it_was(
    known: Known, users: DisabledUsers, how: str
) -> None:
    known.disabled.add(("acme", "ada"))
    assert await users.include("acme", "ada")
    setattr(known, how, True)
    known.now += KEPT_SECONDS
    asked = known.asked
    for _ in range(3):
        assert await users.include("acme", "ada")
        assert not await users.include("acme", "bob")
    assert known.asked == asked + 2
    setattr(known, how, False)
    known.disabled = {("acme", "bob")}
    known.now += KEPT_SECONDS
    assert not await users.include("acme", "ada")
    assert await users.include("acme", "bob")


async def test_only_so_many_users_are_remembered(
    known: Known, users: DisabledUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disabled_users, "MOST_REMEMBERED", 2)
    for user in ("a", "b", "c", "c", "b", "a"):
        await users.include("acme", user)
    assert known.asked == 4
