"""Local accounts over HTTP: passwords, refresh tokens that are good once, and what ends them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from agent_orchestration.app import Platform, open_backends, wall_clock
from agent_orchestration.backends import Backends
from agent_orchestration.config import Config
from agent_orchestration.core.accounts import ACCOUNTS_PATH, Accounts
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, Forbidden, NotFound, Rejected, Unavailable
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.users.model import SESSION_MS
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, SYSTEM_EVENTS
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.token import ACCESS_SECONDS, USER_ATTEMPTS, TokenEndpoint
from tests.running import running
from tests.security.door import SERVER_TOKEN, URL, behind_door
from tests.tokens import AUDIENCE, ISSUER, SECRET, bearer, claims, settings, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "correct horse battery"
WRONG = {
    "error": "invalid_grant",
    "error_description": "the user name or the password is wrong",
}


class Clock:
    """The log's clock, in milliseconds: as everywhere, but that time may be skipped."""

    ahead = 0

    def __call__(self) -> int:
        return wall_clock() + self.ahead


CLOCK = Clock()


@pytest.fixture(autouse=True, scope="module")
def cheap() -> Any:
    """The cost is that of bcrypt, not ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent_orchestration.passwords.COST", 4)
        yield


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Backends:
    return open_backends(Config(data=tmp_path_factory.mktemp("accounts")), CLOCK)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(backends: Backends) -> AsyncIterator[Platform]:
    async with running(Platform(backends, CLOCK, secret=SECRET)) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    async with behind_door(platform, AccessTokens(settings())) as client:
        yield client


async def add(platform: Platform, user: str, tenant: str = "default", **more: Any) -> Any:
    given = {"id": user, "password": PASSWORD, "roles": ["operator"], **more}
    return await platform.call("add_user", given, Caller(tenant=tenant))


async def update(platform: Platform, user: str, **more: Any) -> Any:
    return await platform.call("update_user", {"user_id": user, **more}, Caller())


async def log_in(
    web: httpx2.AsyncClient, user: str, password: str = PASSWORD, **more: str
) -> httpx2.Response:
    form = {"grant_type": "password", "username": user, "password": password, **more}
    return await web.post("/token", data=form)


async def session(web: httpx2.AsyncClient, user: str, **more: str) -> dict[str, Any]:
    """What a login that must succeed answers."""
    answer = await log_in(web, user, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refresh(web: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await web.post("/token", data={"grant_type": "refresh_token", "refresh_token": token})


async def revoke(web: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await web.post("/token/revoke", data={"token": token})


def is_refused(answer: httpx2.Response) -> bool:
    """Whether a refresh token was refused as the standard says."""
    return (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


# ── logging in


async def test_a_login_answers_a_token_that_says_who_the_user_is(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "ada", roles=["viewer", "operator"])
    answer = await log_in(web, "ada")
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", ACCESS_SECONDS)
    said = jwt.decode(
        given["access_token"], SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER
    )
    assert (said["sub"], said["tenant"], said["roles"]) == (
        "ada",
        "default",
        ["operator", "viewer"],
    )
    assert said["exp"] - said["iat"] == ACCESS_SECONDS
    assert len(said["jti"]) == 32


async def test_the_token_opens_what_the_roles_allow(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "vera", roles=["viewer"])
    allowed = bearer((await session(web, "vera"))["access_token"])
    assert (await web.get("/api/v1/tools")).status_code == 401
    listed = (await web.get("/api/v1/tools", headers=allowed)).json()["tools"]
    assert {"list_users", "get_overview"} <= {tool["name"] for tool in listed}
    given = {"id": "eve", "password": PASSWORD, "roles": ["admin"]}
    answer = await web.post("/api/v1/tools/add_user", json=given, headers=allowed)
    assert (answer.status_code, answer.json()["code"]) == (403, "role")


async def test_a_user_belongs_to_a_tenant(platform: Platform, web: httpx2.AsyncClient) -> None:
    await add(platform, "tom", tenant="acme", roles=["admin"])
    allowed = bearer((await session(web, "tom", tenant="acme"))["access_token"])
    answer = await web.post("/api/v1/tools/list_users", json={}, headers=allowed)
    assert [user["id"] for user in answer.json()["result"]["users"]] == ["tom"]
    assert (await log_in(web, "tom")).json() == WRONG
    assert (await log_in(web, "tom", tenant="default")).json() == WRONG


async def test_nobody_can_tell_why_a_login_fails(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "dora")
    await update(platform, "dora", disabled=True)
    await add(platform, "wanda")
    answers = [
        await log_in(web, "wanda", "wrong password"),
        await log_in(web, "nobody"),
        await log_in(web, "dora"),
        await log_in(web, "no such/name"),
        await log_in(web, "wanda", tenant="no such/tenant"),
        await log_in(web, "wanda", "\x00" * 100),
    ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, WRONG)] * 6
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)


async def test_so_many_attempts_may_fail(platform: Platform, web: httpx2.AsyncClient) -> None:
    await add(platform, "rita")
    await add(platform, "otto")
    guesses = [await log_in(web, "rita", f"guess {number}") for number in range(USER_ATTEMPTS)]
    assert {answer.status_code for answer in guesses} == {401}
    answer = await log_in(web, "rita")
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 300
    assert (await log_in(web, "otto")).status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "ada"}, "invalid_request"),
        ({"grant_type": "password", "password": PASSWORD}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": ["password", "password"]}, "invalid_request"),
        ({"grant_type": "password", "username": "x" * 20_000}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "default~s~x~y"}, "invalid_grant"),
    ],
    ids=str,
)
async def test_a_request_that_is_none_is_told_so(
    web: httpx2.AsyncClient, form: dict[str, Any], error: str
) -> None:
    answer = await web.post("/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


async def test_credentials_are_read_from_a_form_alone(web: httpx2.AsyncClient) -> None:
    form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
    asked = [
        await web.post("/token", json=form),
        await web.post("/token", params=form),
        await web.post(
            "/token",
            content=b"grant_type=%ff",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ]
    assert [(one.status_code, one.json()["error"]) for one in asked] == [
        (400, "invalid_request")
    ] * 3
    assert (await web.get("/token", params=form)).status_code == 405


# ── refresh tokens


async def test_a_refresh_token_is_good_once(platform: Platform, web: httpx2.AsyncClient) -> None:
    await add(platform, "rosa")
    first = await session(web, "rosa")
    await update(platform, "rosa", roles=["viewer"])
    second = (await refresh(web, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    said = jwt.decode(second["access_token"], SECRET, algorithms=["HS256"], audience=AUDIENCE)
    assert (said["sub"], said["roles"]) == ("rosa", ["viewer"])
    third = (await refresh(web, second["refresh_token"])).json()
    assert is_refused(await refresh(web, first["refresh_token"]))
    # Somebody had a token that was not theirs: the one that was good until now is no more.
    assert is_refused(await refresh(web, third["refresh_token"]))


async def test_of_two_that_use_a_token_at_once_one_gets_another_which_is_no_good(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "zoe")
    token = (await session(web, "zoe"))["refresh_token"]
    answers = await asyncio.gather(refresh(web, token), refresh(web, token))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    [good] = [answer.json() for answer in answers if answer.status_code == 200]
    assert is_refused(await refresh(web, good["refresh_token"]))


async def test_a_refresh_token_expires_after_a_month(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "max")
    token = (await session(web, "max"))["refresh_token"]
    CLOCK.ahead += SESSION_MS - 60_000
    token = (await refresh(web, token)).json()["refresh_token"]
    CLOCK.ahead += SESSION_MS
    assert is_refused(await refresh(web, token))


async def test_a_refresh_token_of_another_session_or_secret_is_refused(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "ines")
    one, other = [(await session(web, "ines"))["refresh_token"] for _ in range(2)]
    tenant, _, proof, secret = one.split("~")
    assert is_refused(await refresh(web, "~".join((tenant, other.split("~")[1], proof, secret))))
    assert is_refused(await refresh(web, "~".join(("acme", *one.split("~")[1:]))))
    for token in (one, other):
        assert (await refresh(web, token)).status_code == 200


async def test_a_token_that_is_no_good_may_be_sent_so_many_times(
    platform: Platform, web: httpx2.AsyncClient
) -> None:
    await add(platform, "nina")
    token, other = [(await session(web, "nina"))["refresh_token"] for _ in range(2)]
    await revoke(web, token)
    answers = [await refresh(web, token) for _ in range(USER_ATTEMPTS)]
    assert all(is_refused(answer) for answer in answers)
    answer = await refresh(web, token)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_attempts")
    assert (await refresh(web, other)).status_code == 200


async def test_that_nobody_answers_is_no_failed_attempt() -> None:
    def gone() -> Accounts:
        raise Unavailable("no_owner", "nobody owns the data")

    app = Starlette(
        routes=[Route("/token", TokenEndpoint(gone, settings()).token, methods=["POST"])]
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as alone:
        answers = [await log_in(alone, "ada") for _ in range(USER_ATTEMPTS + 1)]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[-1].json()["error"] == "temporarily_unavailable"
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("spent", [False, True])
async def test_a_revoked_token_is_good_no_more(
    platform: Platform, web: httpx2.AsyncClient, spent: bool
) -> None:
    user = f"logs-out-{spent}"
    await add(platform, user)
    first = present = (await session(web, user))["refresh_token"]
    if spent:
        present = (await refresh(web, first)).json()["refresh_token"]
    answer = await revoke(web, first)
    assert (answer.status_code, answer.content) == (200, b"")
    assert is_refused(await refresh(web, present))
    assert (await revoke(web, first)).status_code == 200


async def test_to_revoke_what_is_no_token_changes_nothing(web: httpx2.AsyncClient) -> None:
    for token in ("x", "default~session-1~proof~secret", signed(claims())):
        assert (await revoke(web, token)).status_code == 200
    answer = await web.post("/token/revoke", data={})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("change", [{"password": "another password"}, {"disabled": True}], ids=str)
async def test_another_password_or_a_disabled_user_ends_the_sessions(
    platform: Platform, web: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    user = f"changes-{next(iter(change))}"
    await add(platform, user)
    tokens = [(await session(web, user))["refresh_token"] for _ in range(2)]
    answer = await update(platform, user, **change)
    assert answer["user"]["sessions"] == 0
    assert [is_refused(await refresh(web, token)) for token in tokens] == [True, True]
    assert (await log_in(web, user)).json() == WRONG
    await update(platform, user, disabled=False)
    await session(web, user, **{k: v for k, v in change.items() if k == "password"})


# ── administration


async def test_users_are_listed_page_by_page(platform: Platform) -> None:
    caller = Caller(tenant="paged")
    for user in ("a", "b", "c"):
        await add(platform, user, tenant="paged", name=user.upper())
    first = await platform.call("list_users", {"limit": 2}, caller)
    rest = await platform.call("list_users", {"cursor": first["next_cursor"]}, caller)
    found = [*first["users"], *rest["users"]]
    assert [(user["id"], user["name"], user["sessions"]) for user in found] == [
        ("a", "A", 0),
        ("b", "B", 0),
        ("c", "C", 0),
    ]
    assert "next_cursor" not in rest


async def test_a_call_repeated_under_its_key_is_carried_out_once(platform: Platform) -> None:
    once = {"idempotency_key": "once"}
    first = await add(platform, "ida", **once)
    assert await add(platform, "ida", **once) == first
    with pytest.raises(Conflict):
        await add(platform, "ida", password="another password", **once)
    changed = await update(platform, "ida", password="another password", **once)
    assert await update(platform, "ida", password="another password", **once) == changed


async def test_who_may_not_or_names_nobody_is_told_so(platform: Platform) -> None:
    operator = Caller(principal=Principal("bob", "operator"))
    with pytest.raises(Forbidden):
        await platform.call("update_user", {"user_id": "ada", "disabled": True}, operator)
    await add(platform, "taken")
    with pytest.raises(Rejected, match="id: user taken exists"):
        await add(platform, "taken")
    with pytest.raises(NotFound, match="there is no user absent"):
        await update(platform, "absent", disabled=True)
    with pytest.raises(Rejected, match=r"^password: ") as refused:
        await add(platform, "new", password="secret")
    assert "secret" not in str(refused.value.to_dict())


async def test_without_a_secret_there_are_no_accounts(tmp_path: Path) -> None:
    async with running(Platform(open_backends(Config(data=tmp_path)))) as platform:
        with pytest.raises(Rejected) as refused:
            await add(platform, "ada")
    assert refused.value.code == "no_local_accounts"


@pytest.mark.parametrize(
    ("token", "body", "expected"),
    [
        (SERVER_TOKEN, {"type": "Revoke", "token": "x"}, (200, None)),
        (SERVER_TOKEN, {"type": "LogIn", "password": PASSWORD}, (422, "invalid_argument")),
        (SERVER_TOKEN, {"type": "Other"}, (422, "invalid_argument")),
        (
            signed(claims(roles=["admin"])),
            {"type": "Revoke", "token": "x"},
            (403, "token_required"),
        ),
    ],
    ids=["server", "incomplete", "unknown", "admin"],
)
async def test_other_processes_ask_with_the_servers_own_token(
    web: httpx2.AsyncClient, token: str, body: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    answer = await web.post(ACCOUNTS_PATH, json=body, headers=bearer(token))
    assert (answer.status_code, answer.json().get("code")) == expected
    assert PASSWORD not in answer.text


# ── secrets


async def test_no_password_hash_or_token_is_shown_or_kept_anywhere(
    platform: Platform, backends: Backends, web: httpx2.AsyncClient
) -> None:
    await add(platform, "canary")
    token = (await session(web, "canary"))["refresh_token"]
    secret = token.rpartition("~")[2]
    asked = {
        "list_users": {},
        "get_history": {"limit": 200},
        "run_named_query": {"name": "users"},
        "read_cypher": {
            "query": "MATCH (n) WHERE n:User OR n:Session OR n:Event RETURN properties(n) AS all"
        },
    }
    shown = [str(await platform.call(tool, given, Caller())) for tool, given in asked.items()]
    assert all("canary" in text for text in shown[:3])
    log = backends.log
    for topic in (COMMANDS, EVENTS, SYSTEM_EVENTS):
        for partition in range(log.topics()[topic].partitions):
            begin, end = await log.bounds(topic, partition)
            shown += [str(one) for one in await log.read(topic, partition, begin, end - begin + 1)]
    assert any("SessionBegun" in text for text in shown)
    for hidden in (PASSWORD, "$2b$", "$2a$", secret, token):
        assert not any(hidden in text for text in shown), hidden
    assert not any("password_hash" in text for text in shown[:3])
