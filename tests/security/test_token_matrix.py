"""Every door of the server by every kind of token: who is let in, and what the others hear."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.tool import Role
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.jwks import KeySet
from agent_orchestration.server.protected_resource import METADATA
from tests.security.door import MCP_HEADERS, SERVER_TOKEN, URL, behind_door, running, tool_call
from tests.tokens import (
    AUDIENCE,
    ISSUER,
    JWKS_URI,
    Later,
    Provider,
    bearer,
    claims,
    ec_key,
    public_pem,
    published,
    rsa_key,
    settings,
    signed,
    unsigned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "canary " * 20_000
PROVIDER = Provider(published(rsa_key(0), "known"), published(ec_key(), "curve"))
WORKING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mcp tool": ("POST", "/mcp", {"json": tool_call("get_overview"), "headers": MCP_HEADERS}),
    "mcp list": (
        "POST",
        "/mcp",
        {"json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, "headers": MCP_HEADERS},
    ),
    "mcp resource": (
        "POST",
        "/mcp",
        {
            "json": {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "resources/read",
                "params": {"uri": "schema://graph"},
            },
            "headers": MCP_HEADERS,
        },
    ),
    "tool": ("POST", "/api/v1/tools/get_overview", {}),
    "events": ("POST", "/api/v1/tools/get_history", {}),
    "tools": ("GET", "/api/v1/tools", {}),
    "breakers": ("GET", "/api/v1/circuit-breakers/status", {}),
    "metrics": ("GET", "/metrics", {}),
    "page": ("GET", "/", {}),
    "style": ("GET", "/status.css", {}),
}
BLOB = "blob"


def rs256(said: dict[str, Any], number: int = 0, kid: str = "known") -> str:
    return signed(said, rsa_key(number), "RS256", kid=kid)


REFUSED: dict[str, tuple[Callable[[], dict[str, str]], int]] = {
    "none": (dict, 401),
    "empty": (lambda: {"Authorization": "Bearer "}, 401),
    "password": (lambda: {"Authorization": "Basic YWRhOmFkYQ=="}, 401),
    "guessed": (lambda: bearer("sesame"), 401),
    "expired": (lambda: bearer(rs256(claims(exp=Later(-60)))), 401),
    "not yet valid": (lambda: bearer(rs256(claims(nbf=Later(86_400)))), 401),
    "issued tomorrow": (lambda: bearer(rs256(claims(iat=Later(86_400)))), 401),
    "audience": (lambda: bearer(rs256(claims(aud=AUDIENCE + "2"))), 401),
    "issuer": (lambda: bearer(rs256(claims(iss=ISSUER + "/"))), 401),
    "key": (lambda: bearer(rs256(claims(), 1)), 401),
    "unknown kid": (lambda: bearer(rs256(claims(), 0, "unknown")), 401),
    "alg none": (lambda: bearer(unsigned(claims(), "none", kid="known")), 401),
    "public key as secret": (
        lambda: bearer(unsigned(claims(), "HS256", public_pem(rsa_key(0)).encode(), kid="known")),
        401,
    ),
    "key of another kind": (
        lambda: bearer(signed(claims(), rsa_key(0), "RS256", kid="curve")),
        401,
    ),
    "no expiry": (lambda: bearer(rs256(claims(exp=None))), 401),
    "no tenant": (lambda: bearer(rs256(claims(tenant=None))), 401),
    "tenant of an id": (lambda: bearer(rs256(claims(tenant="acme/agent-1"))), 401),
    "no sub": (lambda: bearer(rs256(claims(sub=None))), 401),
    "agent without id": (lambda: bearer(rs256(claims(roles=["agent"]))), 401),
    "no role": (lambda: bearer(rs256(claims(roles=[]))), 403),
    "unknown role": (lambda: bearer(rs256(claims(roles=["king"]))), 403),
    "the local operator": (lambda: bearer(rs256(claims(sub="local", roles=["admin"]))), 403),
    "the timer": (lambda: bearer(rs256(claims(sub="timer", roles=["admin"]))), 403),
    "another tenant": (lambda: bearer(rs256(claims())) | {"X-Tenant": "globex"}, 403),
    "another principal": (
        lambda: bearer(rs256(claims())) | {"X-Principal": '{"id":"a","role":"admin"}'},
        403,
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running(tmp_path_factory.mktemp("data")) as running_platform:
        acme = Caller(tenant="acme")
        for name in ("ann", "bob"):
            agent: dict[str, Any] = {
                "id": name,
                "name": name,
                "kind": "function",
                "capabilities": [],
            }
            await running_platform.call("register_agent", agent, acme)
        task = {"id": "task", "title": "a task", "payload": {"text": LARGE}}
        made = await running_platform.call("create_task", task, acme)
        digest = made["task"]["payload"]["$blob"]
        WORKING[BLOB] = ("GET", f"/api/v1/blobs/{digest}", {})
        yield running_platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    tokens = AccessTokens(settings(jwks_uri=JWKS_URI), KeySet(JWKS_URI, transport=PROVIDER))
    async with behind_door(platform, tokens) as client:
        yield client


async def asked(web: httpx2.AsyncClient, door: str, headers: dict[str, str]) -> httpx2.Response:
    method, path, more = WORKING[door]
    more = more | {"headers": more.get("headers", {}) | headers}
    return await web.request(method, path, **more)


@pytest.mark.parametrize("door", [*WORKING, BLOB])
async def test_a_good_token_opens_every_door(web: httpx2.AsyncClient, door: str) -> None:
    for headers in (
        bearer(rs256(claims())),
        bearer(signed(claims(), ec_key(), "ES256", kid="curve")),
        bearer(SERVER_TOKEN) | {"X-Tenant": "acme"},
    ):
        response = await asked(web, door, headers)
        assert response.status_code == 200, response.text
        if door.startswith("mcp"):
            assert not response.json()["result"].get("isError")


@pytest.mark.parametrize("door", [*WORKING, BLOB])
@pytest.mark.parametrize("kind", REFUSED)
async def test_no_other_opens_any(web: httpx2.AsyncClient, door: str, kind: str) -> None:
    make, status = REFUSED[kind]
    headers = make()
    response = await asked(web, door, headers)
    assert response.status_code == status
    body = response.json()
    assert body["error"] == {401: "unauthenticated", 403: "forbidden"}[status]
    assert body["reason"]
    assert "canary" not in response.text
    token = headers.get("Authorization", "").partition(" ")[2]
    assert not token or token not in response.text + str(response.headers)
    if status == 401:
        known = f'Bearer resource_metadata="{URL}{METADATA[1]}"'
        sent = ', error="invalid_token"' if headers else ""
        assert response.headers["WWW-Authenticate"] == known + sent
    else:
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("door", [*WORKING, BLOB])
async def test_while_keys_cannot_be_fetched_nobody_new_is_let_in(
    platform: Platform, door: str
) -> None:
    provider = Provider(published(rsa_key(0), "known"))
    provider.down = True
    tokens = AccessTokens(settings(jwks_uri=JWKS_URI), KeySet(JWKS_URI, transport=provider))
    async with behind_door(platform, tokens) as other:
        response = await asked(other, door, bearer(rs256(claims())))
    assert (response.status_code, response.json()["code"]) == (503, "keys_unavailable")
    assert int(response.headers["Retry-After"]) >= 1


OF_AGENTS = sorted(
    name
    for name, tool in REGISTRY.tools.items()
    if "agent_id" in tool.arguments.model_fields and tool.allows("agent")
)


@pytest.mark.parametrize("tool", OF_AGENTS)
async def test_the_token_of_an_agent_acts_for_no_other(web: httpx2.AsyncClient, tool: str) -> None:
    headers = bearer(rs256(claims(roles=["agent"], agent_id="ann")))
    path = f"/api/v1/tools/{tool}"
    response = await web.post(path, json={"agent_id": "bob"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "not_your_agent")
    call = tool_call(tool, {"agent_id": "bob"})
    over_mcp = (await web.post("/mcp", json=call, headers=MCP_HEADERS | headers)).json()["result"]
    assert over_mcp["content"][0]["text"].startswith("not_your_agent: ")
    for said in ({"agent_id": "ann"}, {"agent_id": None}, {}):
        own = await web.post(path, json=said, headers=headers)
        assert own.json().get("code") != "not_your_agent"


async def test_what_agents_do_says_which_agent_does_it() -> None:
    tools = REGISTRY.tools.items()
    assert {name for name, tool in tools if tool.role is Role.AGENT} <= set(OF_AGENTS)


async def test_what_an_agent_says_it_says_itself(web: httpx2.AsyncClient) -> None:
    headers = bearer(rs256(claims(roles=["agent"], agent_id="ann", sub="bob")))
    said = {"topic": "t", "text": "hello", "agent_id": None}
    opened = await web.post("/api/v1/tools/open_conversation", json=said, headers=headers)
    conversation = opened.json()["result"]["conversation"]["id"]
    asked = {"conversation_id": conversation}
    heard = await web.post("/api/v1/tools/list_messages", json=asked, headers=headers)
    [message] = heard.json()["result"]["messages"]
    assert (message["author"], message["author_kind"]) == ("ann", "agent")


async def test_operations_are_for_the_server_s_own_token(web: httpx2.AsyncClient) -> None:
    headers = bearer(rs256(claims(roles=["admin"])))
    response = await web.post("/api/v1/operations", json={"type": "verify"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "token_required")


async def test_probes_and_metadata_need_no_token(web: httpx2.AsyncClient) -> None:
    assert (await web.get("/health")).status_code == 200
    assert (await web.get("/ready")).status_code == 200
    known = "/.well-known/oauth-protected-resource"
    for path in ("", "/mcp"):
        assert (await web.get(known + path)).json() == {
            "resource": f"{URL}{path}",
            "authorization_servers": [ISSUER],
            "bearer_methods_supported": ["header"],
        }
    assert (await web.get(known + "/other")).status_code == 401
    assert (await web.get("/nowhere")).status_code == 401


async def test_a_token_in_the_address_is_none(web: httpx2.AsyncClient) -> None:
    asked_for = {"access_token": rs256(claims()), "token": rs256(claims())}
    response = await web.post("/api/v1/tools/get_overview", params=asked_for)
    assert response.status_code == 401
