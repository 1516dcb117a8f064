"""What a server tells those who have no token for it, and notes of tokens that it refuses."""

import logging

import httpx2
import pytest
from mcp.shared.auth import ProtectedResourceMetadata

from agent_orchestration.logs import Repeated
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.protected_resource import METADATA
from tests.tokens import ISSUER, Later, bearer, claims, settings, signed
from tests.unit.server_fakes import FakeDispatcher, served

ADDRESS = "https://agents.example/mcp"
NAME = {"Host": "agents.example"}
GUARD = "agent_orchestration.server.guard"


async def asked(
    path: str, *more: dict[str, str], audience: str = ADDRESS, scopes: tuple[str, ...] = ()
) -> list[httpx2.Response]:
    """The answers for that path, once with each of these headers."""
    tokens = AccessTokens(settings(audience=audience, scopes=scopes))
    names = ["agents.example"]
    async with (
        served(FakeDispatcher(), tokens=tokens, allowed_hosts=names) as url,
        httpx2.AsyncClient(base_url=url) as web,
    ):
        return [await web.get(path, headers=headers) for headers in more or ({},)]


@pytest.mark.parametrize("path", METADATA)
async def test_behind_a_proxy_that_ends_tls_the_address_is_the_client_s(path: str) -> None:
    [answer, elsewhere] = await asked(path, NAME, {})
    described = ProtectedResourceMetadata.model_validate_json(answer.content)
    expected = ADDRESS if path.endswith("/mcp") else "https://agents.example"
    assert str(described.resource) == expected
    assert [str(one) for one in described.authorization_servers] == [ISSUER]
    assert elsewhere.json()["resource"].startswith("http://127.0.0.1:")
    [refused] = await asked("/mcp", NAME)
    known = f'Bearer resource_metadata="https://agents.example{METADATA[1]}"'
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, known)


@pytest.mark.parametrize("audience", ["http://agents.example/mcp", "agents.example", "//["])
async def test_an_audience_that_is_no_such_address_changes_none(audience: str) -> None:
    [answer] = await asked(METADATA[1], NAME, audience=audience)
    assert answer.json()["resource"] == "http://agents.example/mcp"


async def test_scopes_to_ask_for_are_named_where_there_are_any() -> None:
    for scopes in ((), ("openid", "api://ao/access")):
        [described] = await asked(METADATA[0], scopes=scopes)
        assert described.json().get("scopes_supported", []) == list(scopes)
        assert ("scopes_supported" in described.json()) == bool(scopes)
        [none, wrong] = await asked("/mcp", {}, bearer("x"), scopes=scopes)
        for answer in (none, wrong):
            named = 'scope="openid api://ao/access"' in answer.headers["WWW-Authenticate"]
            assert named == bool(scopes)


async def test_a_refused_token_is_noted_with_who_sent_it_where_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger=GUARD)
    late = signed(claims(aud=ADDRESS, exp=Later(-60)))
    nobody = signed(claims(aud=ADDRESS, roles=[]))
    good = signed(claims(aud=ADDRESS))
    answers = await asked("/api/v1/%0atools", bearer(late), bearer(nobody), {}, bearer(good))
    assert [answer.status_code for answer in answers] == [401, 403, 401, 404]
    noted = [record for record in caplog.records if record.name == GUARD]
    assert [record.levelname for record in noted] == ["WARNING"] * 2
    texts = [record.getMessage() for record in noted]
    where = "from 127.0.0.1 for /api/v1/%0Atools: "
    assert texts[0].startswith(f"refused a token (invalid_token) {where}")
    assert "it has expired" in texts[0]
    assert texts[1].startswith(f"refused a token (no_role) {where}")
    for token in (late, nobody, good):
        assert not any(part in caplog.text for part in token.split("."))


async def test_a_flood_of_refused_tokens_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=GUARD)
    await asked("/mcp", *(bearer(f"guess {number}") for number in range(50)))
    noted = [record for record in caplog.records if record.name == GUARD]
    repeated = Repeated(lambda: 0.0)
    assert len(noted) == 50
    assert len([record for record in noted if repeated.shown(record)]) == 1
