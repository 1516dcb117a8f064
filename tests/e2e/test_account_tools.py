"""The tools about local accounts, other processes that ask about them, and what nobody may see."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent_orchestration.core.accounts import ACCOUNTS_PATH
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, Forbidden, NotFound, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, SYSTEM_EVENTS
from tests.e2e.local_accounts import PASSWORD, Installation, installation
from tests.security.door import SERVER_TOKEN, running
from tests.tokens import bearer, claims, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("accounts")) as made:
        yield made


# ── administration


async def test_users_are_listed_page_by_page(here: Installation) -> None:
    caller = Caller(tenant="paged")
    for user in ("a", "b", "c"):
        await here.add(user, tenant="paged", name=user.upper())
    first = await here.platform.call("list_users", {"limit": 2}, caller)
    rest = await here.platform.call("list_users", {"cursor": first["next_cursor"]}, caller)
    found = [*first["users"], *rest["users"]]
    assert [(user["id"], user["name"], user["sessions"]) for user in found] == [
        ("a", "A", 0),
        ("b", "B", 0),
        ("c", "C", 0),
    ]
    assert "next_cursor" not in rest


async def test_a_call_repeated_under_its_key_is_carried_out_once(here: Installation) -> None:
    once = {"idempotency_key": "once"}
    first = await here.add("ida", **once)
    assert await here.add("ida", **once) == first
    with pytest.raises(Conflict):
        await here.add("ida", password="another password", **once)
    changed = await here.update("ida", password="another password", **once)
    assert await here.update("ida", password="another password", **once) == changed


async def test_who_may_not_or_names_nobody_is_told_so(here: Installation) -> None:
    operator = Caller(principal=Principal("bob", "operator"))
    with pytest.raises(Forbidden):
        await here.platform.call("update_user", {"user_id": "ada", "disabled": True}, operator)
    with pytest.raises(Rejected, match="id: is a name of the platform itself"):
        await here.add("local")
    await here.add("taken")
    with pytest.raises(Rejected, match="id: user taken exists"):
        await here.add("taken")
    with pytest.raises(NotFound, match="there is no user absent"):
        await here.update("absent", disabled=True)
    with pytest.raises(Rejected, match=r"^password: ") as refused:
        await here.add("new", password="secret")
    assert "secret" not in str(refused.value.to_dict())


async def test_without_a_secret_there_are_no_accounts(tmp_path: Path) -> None:
    given = {"id": "ada", "password": PASSWORD, "roles": ["admin"]}
    async with running(tmp_path) as platform:
        with pytest.raises(Rejected) as refused:
            await platform.call("add_user", given, Caller())
    assert refused.value.code == "no_local_accounts"


@pytest.mark.parametrize(
    ("token", "body", "expected"),
    [
        (SERVER_TOKEN, {"type": "Revoke", "token": "x"}, (200, None)),
        (SERVER_TOKEN, {"type": "LogIn", "password": PASSWORD}, (422, "invalid_argument")),
        (SERVER_TOKEN, {"type": "IsDisabled", "tenant": "a", "user_id": "b"}, (200, None)),
        (SERVER_TOKEN, {"type": "Other"}, (422, "invalid_argument")),
        (None, {"type": "Revoke", "token": "x"}, (403, "token_required")),
    ],
    ids=["server", "incomplete", "stranger", "unknown", "admin"],
)
async def test_other_processes_ask_with_the_servers_own_token(
    here: Installation, token: str | None, body: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    token = token or signed(claims(roles=["admin"]))
    answer = await here.web.post(ACCOUNTS_PATH, json=body, headers=bearer(token))
    assert (answer.status_code, answer.json().get("code")) == expected
    assert PASSWORD not in answer.text


# ── secrets


async def test_no_password_hash_or_token_is_shown_or_kept_anywhere(here: Installation) -> None:
    await here.add("canary")
    token = (await here.session("canary"))["refresh_token"]
    secret = token.rpartition("~")[2]
    asked = {
        "list_users": {},
        "get_history": {"limit": 200},
        "run_named_query": {"name": "users"},
        "read_cypher": {
            "query": "MATCH (n) WHERE n:User OR n:Session OR n:Event RETURN properties(n) AS all"
        },
    }
    shown = [str(await here.platform.call(tool, given, Caller())) for tool, given in asked.items()]
    assert all("canary" in text for text in shown[:3])
    log = here.backends.log
    for topic in (COMMANDS, EVENTS, SYSTEM_EVENTS):
        for partition in range(log.topics()[topic].partitions):
            begin, end = await log.bounds(topic, partition)
            shown += [str(one) for one in await log.read(topic, partition, begin, end - begin + 1)]
    assert any("SessionBegun" in text for text in shown)
    for hidden in (PASSWORD, "$2b$", "$2a$", secret, token):
        assert not any(hidden in text for text in shown), hidden
    assert not any("password_hash" in text for text in shown[:3])
