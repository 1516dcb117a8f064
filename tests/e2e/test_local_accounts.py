"""Local accounts over HTTP: passwords, refresh tokens that are good once, and what ends them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from agent_orchestration.core.accounts import Accounts
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.domain.users.model import SESSION_MS
from agent_orchestration.server.token import ACCESS_SECONDS, USER_ATTEMPTS, TokenEndpoint
from tests.e2e.local_accounts import PASSWORD, WRONG, Installation, installation, is_refused
from tests.security.door import SERVER_TOKEN, URL
from tests.tokens import AUDIENCE, ISSUER, SECRET, bearer, claims, settings, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("accounts")) as made:
        yield made


# ── logging in


async def test_a_login_answers_a_token_that_says_who_the_user_is(here: Installation) -> None:
    await here.add("ada", roles=["viewer", "operator"])
    answer = await here.log_in("ada")
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


async def test_the_token_opens_what_the_roles_allow(here: Installation) -> None:
    await here.add("vera", roles=["viewer"])
    allowed = bearer((await here.session("vera"))["access_token"])
    assert (await here.web.get("/api/v1/tools")).status_code == 401
    listed = (await here.web.get("/api/v1/tools", headers=allowed)).json()["tools"]
    assert {"list_users", "get_overview"} <= {tool["name"] for tool in listed}
    given = {"id": "eve", "password": PASSWORD, "roles": ["admin"]}
    answer = await here.web.post("/api/v1/tools/add_user", json=given, headers=allowed)
    assert (answer.status_code, answer.json()["code"]) == (403, "role")


async def test_a_user_belongs_to_a_tenant(here: Installation) -> None:
    await here.add("tom", tenant="acme", roles=["admin"])
    allowed = bearer((await here.session("tom", tenant="acme"))["access_token"])
    answer = await here.web.post("/api/v1/tools/list_users", json={}, headers=allowed)
    assert [user["id"] for user in answer.json()["result"]["users"]] == ["tom"]
    assert (await here.log_in("tom")).json() == WRONG
    assert (await here.log_in("tom", tenant="default")).json() == WRONG


async def test_nobody_can_tell_why_a_login_fails(here: Installation) -> None:
    await here.add("dora")
    await here.update("dora", disabled=True)
    await here.add("wanda")
    answers = [
        await here.log_in("wanda", "wrong password"),
        await here.log_in("nobody"),
        await here.log_in("dora"),
        await here.log_in("no such/name"),
        await here.log_in("wanda", tenant="no such/tenant"),
        await here.log_in("wanda", "\x00" * 100),
    ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, WRONG)] * 6
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)


async def test_so_many_attempts_may_fail(here: Installation) -> None:
    await here.add("rita")
    await here.add("otto")
    guesses = [await here.log_in("rita", f"guess {number}") for number in range(USER_ATTEMPTS)]
    assert {answer.status_code for answer in guesses} == {401}
    answer = await here.log_in("rita")
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 300
    assert (await here.log_in("otto")).status_code == 200


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
    here: Installation, form: dict[str, Any], error: str
) -> None:
    answer = await here.web.post("/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


async def test_credentials_are_read_from_a_form_alone(here: Installation) -> None:
    form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
    asked = [
        await here.web.post("/token", json=form),
        await here.web.post("/token", params=form),
        await here.web.post(
            "/token",
            content=b"grant_type=%ff",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ]
    assert [(one.status_code, one.json()["error"]) for one in asked] == [
        (400, "invalid_request")
    ] * 3
    assert (await here.web.get("/token", params=form)).status_code == 405


# ── refresh tokens


async def test_a_refresh_token_is_good_once(here: Installation) -> None:
    await here.add("rosa")
    first = await here.session("rosa")
    await here.update("rosa", roles=["viewer"])
    second = (await here.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    said = jwt.decode(second["access_token"], SECRET, algorithms=["HS256"], audience=AUDIENCE)
    assert (said["sub"], said["roles"]) == ("rosa", ["viewer"])
    third = (await here.refresh(second["refresh_token"])).json()
    assert is_refused(await here.refresh(first["refresh_token"]))
    # Somebody had a token that was not theirs: the one that was good until now is no more.
    assert is_refused(await here.refresh(third["refresh_token"]))


async def test_of_two_that_use_a_token_at_once_one_gets_another_which_is_no_good(
    here: Installation,
) -> None:
    await here.add("zoe")
    token = (await here.session("zoe"))["refresh_token"]
    answers = await asyncio.gather(here.refresh(token), here.refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    [good] = [answer.json() for answer in answers if answer.status_code == 200]
    assert is_refused(await here.refresh(good["refresh_token"]))


async def test_a_refresh_token_expires_after_a_month(here: Installation) -> None:
    await here.add("max")
    token = (await here.session("max"))["refresh_token"]
    here.clock.ahead += SESSION_MS - 60_000
    token = (await here.refresh(token)).json()["refresh_token"]
    here.clock.ahead += SESSION_MS
    assert is_refused(await here.refresh(token))


async def test_a_refresh_token_of_another_session_or_secret_is_refused(here: Installation) -> None:
    await here.add("ines")
    one, other = [(await here.session("ines"))["refresh_token"] for _ in range(2)]
    tenant, _, proof, secret = one.split("~")
    assert is_refused(await here.refresh("~".join((tenant, other.split("~")[1], proof, secret))))
    assert is_refused(await here.refresh("~".join(("acme", *one.split("~")[1:]))))
    for token in (one, other):
        assert (await here.refresh(token)).status_code == 200


async def test_a_token_that_is_no_good_may_be_sent_so_many_times(here: Installation) -> None:
    await here.add("nina")
    token, other = [(await here.session("nina"))["refresh_token"] for _ in range(2)]
    await here.revoke(token)
    answers = [await here.refresh(token) for _ in range(USER_ATTEMPTS)]
    assert all(is_refused(answer) for answer in answers)
    answer = await here.refresh(token)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_attempts")
    assert (await here.refresh(other)).status_code == 200


async def test_that_nobody_answers_is_no_failed_attempt() -> None:
    def gone() -> Accounts:
        raise Unavailable("no_owner", "nobody owns the data")

    app = Starlette(
        routes=[Route("/token", TokenEndpoint(gone, settings()).token, methods=["POST"])]
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as alone:
        form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
        answers = [await alone.post("/token", data=form) for _ in range(USER_ATTEMPTS + 1)]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[-1].json()["error"] == "temporarily_unavailable"
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("spent", [False, True])
async def test_a_revoked_token_is_good_no_more(here: Installation, spent: bool) -> None:
    user = f"logs-out-{spent}"
    await here.add(user)
    first = present = (await here.session(user))["refresh_token"]
    if spent:
        present = (await here.refresh(first)).json()["refresh_token"]
    answer = await here.revoke(first)
    assert (answer.status_code, answer.content) == (200, b"")
    assert is_refused(await here.refresh(present))
    assert (await here.revoke(first)).status_code == 200


async def test_to_revoke_what_is_no_token_changes_nothing(here: Installation) -> None:
    for token in ("x", "default~session-1~proof~secret", signed(claims())):
        assert (await here.revoke(token)).status_code == 200
    answer = await here.web.post("/token/revoke", data={})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_disabled_user_is_not_let_in_with_a_token_from_before(here: Installation) -> None:
    for user, tenant in (("hugo", "default"), ("hugo", "acme"), ("hanna", "default")):
        await here.add(user, tenant=tenant)
    sessions = [
        await here.session("hugo"),
        await here.session("hugo", tenant="acme"),
        await here.session("hanna"),
    ]
    await here.update("hugo", disabled=True)
    answers = [
        await here.web.get("/api/v1/tools", headers=bearer(session["access_token"]))
        for session in sessions
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 200]
    assert answers[0].json()["code"] == "user_disabled"
    assert 'error="invalid_token"' in answers[0].headers["WWW-Authenticate"]
    elsewhere = bearer(signed(claims(sub="hilda", tenant="default")))
    assert (await here.web.get("/api/v1/tools", headers=elsewhere)).status_code == 200
    # Who acts for others does so with the server's own token, whoever they are.
    trusted = bearer(SERVER_TOKEN) | {"X-Principal": '{"id": "hugo", "role": "viewer"}'}
    assert (await here.web.get("/api/v1/tools", headers=trusted)).status_code == 200


@pytest.mark.parametrize("change", [{"password": "another password"}, {"disabled": True}], ids=str)
async def test_another_password_or_a_disabled_user_ends_the_sessions(
    here: Installation, change: dict[str, Any]
) -> None:
    user = f"changes-{next(iter(change))}"
    await here.add(user)
    tokens = [(await here.session(user))["refresh_token"] for _ in range(2)]
    answer = await here.update(user, **change)
    assert answer["user"]["sessions"] == 0
    assert [is_refused(await here.refresh(token)) for token in tokens] == [True, True]
    assert (await here.log_in(user)).json() == WRONG
    await here.update(user, disabled=False)
    await here.session(user, **{k: v for k, v in change.items() if k == "password"})
