"""A client that knows nothing but the server's address: it finds the identity provider by itself,
logs in there, and works."""

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from mcp import MCPError
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp.shared.auth_utils import check_resource_allowed
from pydantic import AnyUrl

from tests.e2e.program import PATIENCE, server, wait_for
from tests.e2e.server_process import ERAS, Refused, call
from tests.identity_provider import Discovery, IdentityProvider, identity_provider
from tests.security.door import MCP_HEADERS, tool_call
from tests.services.kafka import free_port
from tests.tokens import bearer

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

CALLBACK = "http://127.0.0.1:9/callback"
OPERATOR: dict[str, Any] = {"roles": ["operator"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[IdentityProvider, str]]:
    """An identity provider, and the address of a server that believes it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    address = f"http://127.0.0.1:{port}/mcp"
    async with identity_provider() as identity:
        named = f"jwks_uri: '{identity.jwks_uri}', issuer: '{identity.issuer}'"
        (folder / "config.yaml").write_text(f"auth: {{{named}, audience: '{address}'}}")
        with server(folder, "--port", str(port), "--tools", "all"):
            yield identity, address


@pytest.fixture
def identity(installation: tuple[IdentityProvider, str]) -> IdentityProvider:
    found, _ = installation
    found.asked.clear()
    found.discovery, found.says, found.seconds = "oauth", OPERATOR, 600
    return found


@pytest.fixture
def address(installation: tuple[IdentityProvider, str]) -> str:
    return installation[1]


class Kept(TokenStorage):
    """What a program keeps between its runs."""

    def __init__(self, tokens: OAuthToken | None = None) -> None:
        self.tokens = tokens
        self.until = 0.0
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.until = time.time() + (tokens.expires_in or 0)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """Where the provider sends the user back to."""

    def __init__(self) -> None:
        self._answer: dict[str, str] = {}

    async def open(self, url: str) -> None:
        async with httpx2.AsyncClient(timeout=PATIENCE) as web:
            response = await web.get(url)
        assert response.status_code == 302, response.text
        location = response.headers["Location"]
        assert location.startswith(CALLBACK)
        self._answer = dict(parse_qsl(urlsplit(location).query))

    async def returned(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(self._answer)


def program(address: str, era: str = "auto", kept: Kept | None = None) -> Client[Any]:
    """A client with nothing but an address, and what it kept."""
    browser = Browser()
    described = OAuthClientMetadata(client_name="a program", redirect_uris=[AnyUrl(CALLBACK)])
    auth = OAuthClientProvider(address, described, kept or Kept(), browser.open, browser.returned)
    return Client(StreamableHttpTransport(address, auth=auth), mode=era, timeout=PATIENCE)


def login(address: str) -> list[tuple[str, str]]:
    return [("authorize", address), ("authorization_code", address)]


async def posted(address: str, token: str, tool: str, **arguments: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=PATIENCE) as web:
        body = tool_call(tool, arguments)
        return await web.post(address, json=body, headers=MCP_HEADERS | bearer(token))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("discovery", ["oauth", "openid"])
async def test_a_client_finds_who_gives_tokens_and_works(
    identity: IdentityProvider, address: str, era: str, discovery: Discovery
) -> None:
    identity.discovery = discovery
    task = f"{era}-{discovery}"
    async with program(address, era) as client:
        assert "create_task" in {tool.name for tool in await client.list_tools()}
        await call(client, "create_task", id=task, title="a task")
        shown = await call(client, "get_history", task_id=task)
        assert [event["actor"] for event in shown["events"]] == ["ada"]
    assert identity.asked == login(address)
    for tenant, is_there in (("acme", True), ("globex", False)):
        identity.says = OPERATOR | {"tenant": tenant}
        token = identity.access_token(address)
        answer = (await posted(address, token, "get_task", task_id=task)).json()["result"]
        assert answer["isError"] != is_there, answer


async def test_a_client_refreshes_a_token_that_has_expired(
    identity: IdentityProvider, address: str
) -> None:
    identity.seconds = 1
    kept = Kept()
    async with program(address, kept=kept) as client:
        await call(client, "get_overview")
        assert identity.asked[:2] == login(address)
        identity.seconds = 600
        identity.asked.clear()
        wait_for(lambda: time.time() > kept.until, "the token's end")
        for _ in range(2):
            await call(client, "get_overview")
            assert identity.asked == [("refresh_token", address)]


async def test_a_client_whose_kept_token_is_refused_logs_in_again(
    identity: IdentityProvider, address: str
) -> None:
    identity.seconds = -60
    kept = Kept(OAuthToken(access_token=identity.access_token(address)))
    identity.seconds = 600
    async with program(address, kept=kept) as client:
        await call(client, "get_overview")
    assert identity.asked == login(address)


async def test_what_a_role_does_not_permit_is_no_reason_to_log_in_again(
    identity: IdentityProvider, address: str
) -> None:
    async with program(address) as client:
        with pytest.raises(Refused, match="role: raise_rules needs the role admin"):
            await call(client, "raise_rules")
    assert identity.asked == login(address)
    identity.asked.clear()
    identity.says = {"roles": []}
    with pytest.raises(MCPError, match="error response"):
        async with program(address) as client:
            await client.list_tools()
    assert identity.asked == login(address)
    refused = await posted(address, identity.access_token(address), "get_overview")
    assert (refused.status_code, refused.json()["code"]) == (403, "no_role")
    assert "WWW-Authenticate" not in refused.headers


async def test_a_token_for_another_server_is_refused(
    identity: IdentityProvider, address: str
) -> None:
    for audience in ("https://other.example/mcp", address.removesuffix("/mcp"), f"{address}/x"):
        refused = await posted(address, identity.access_token(audience), "get_overview")
        assert refused.status_code == 401
        assert f"aud: it is not for {address}" in refused.json()["reason"]
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


async def test_the_metadata_are_where_clients_look_for_them(
    identity: IdentityProvider, address: str
) -> None:
    origin, known = address.removesuffix("/mcp"), "/.well-known/oauth-protected-resource"
    async with httpx2.AsyncClient(base_url=origin, timeout=PATIENCE) as web:
        unknown = await web.post("/mcp", json=tool_call("get_overview"), headers=MCP_HEADERS)
        challenge = f'Bearer resource_metadata="{origin}{known}/mcp"'
        assert (unknown.status_code, unknown.headers["WWW-Authenticate"]) == (401, challenge)
        for path, resource in ((f"{known}/mcp", address), (known, origin)):
            answer = await web.get(path)
            described = ProtectedResourceMetadata.model_validate_json(answer.content)
            assert str(described.resource) == resource
            assert check_resource_allowed(address, str(described.resource))
            assert [str(one) for one in described.authorization_servers] == [identity.issuer]
