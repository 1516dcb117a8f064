"""Every tool by every role, over the door that tokens go through.

What is expected is what the documentation promises; that it names every tool is checked first.
"""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.tool import Role
from agent_orchestration.server.access import AccessTokens
from tests.architecture.source import ROOT
from tests.security.door import MCP_HEADERS, behind_door, running, tool_call
from tests.tokens import bearer, claims, settings, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW = re.compile(r"\| `(\w+)` \| (.*?) ?\| (.*) \|")
ROLES = [role.value for role in Role]


def promised() -> dict[str, tuple[set[str], set[str]]]:
    """The table: by role, the roles that it includes and the tools of its own."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    section = page.partition("## Roles")[2].partition("\n## ")[0]
    rows = [found for line in section.splitlines() if (found := ROW.fullmatch(line))]
    table: dict[str, tuple[set[str], set[str]]] = {}
    for row in rows:
        role, included, tools = row.groups()
        names = set(re.findall(r"`(\w+)`", included))
        others = {other.group(1) for other in rows} - {role}
        table[role] = (
            (others if included == "all others" else names),
            set(re.findall(r"`(\w+)`", tools)),
        )
    return table


TABLE = promised()
MAY = {
    role: own.union(*(TABLE[name][1] for name in included))
    for role, (included, own) in TABLE.items()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running(tmp_path_factory.mktemp("data")) as platform,
        behind_door(platform, AccessTokens(settings())) as client,
    ):
        yield client


def token_of(role: str) -> dict[str, str]:
    return bearer(signed(claims(roles=[role], agent_id="ann")))


async def test_every_tool_and_every_role_has_its_place() -> None:
    assert set(TABLE) == set(ROLES)
    assert MAY["admin"] == set(REGISTRY.tools)
    assert sum(len(own) for _, own in TABLE.values()) == len(REGISTRY.tools)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("tool", sorted(REGISTRY.tools))
async def test_a_role_may_call_what_it_is_promised(
    web: httpx2.AsyncClient, tool: str, role: str
) -> None:
    headers = token_of(role)
    response = await web.post(f"/api/v1/tools/{tool}", headers=headers)
    refused = (response.status_code, response.json().get("code")) == (403, "role")
    assert refused == (tool not in MAY[role]), response.text
    over_mcp = await web.post("/mcp", json=tool_call(tool), headers=MCP_HEADERS | headers)
    result = over_mcp.json()["result"]
    assert result["content"][0]["text"].startswith("role: ") == refused


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_shown_what_it_may_call(web: httpx2.AsyncClient, role: str) -> None:
    headers = token_of(role)
    over_http = (await web.get("/api/v1/tools", headers=headers)).json()["tools"]
    assert {tool["name"] for tool in over_http} == MAY[role]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    more = MCP_HEADERS | headers | {"X-MCP-Toolsets": "all"}
    listed = (await web.post("/mcp", json=asked, headers=more)).json()["result"]["tools"]
    assert {tool["name"] for tool in listed} == MAY[role]
