"""Tenants that ask for whatever there is, by every tool: none of them hears a word of another."""

import random
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.cli.tool_help import sample_arguments
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.tool import Tool
from agent_orchestration.server.access import AccessTokens
from tests.e2e.bad_values import VALID
from tests.security.company import canary, found, is_told, name_in
from tests.security.door import MCP_HEADERS, behind_door, running, tool_call
from tests.tokens import bearer, claims, settings, signed

TENANTS = ("default", "acme", "globex")
CALLS = 10_000
OVER_HTTP = 300
WHAT = ("agent", "skill", "template", "team", "task", "spend", "talk", "plan", "large")
IDS = [name_in(tenant, what) for tenant in TENANTS for what in WHAT]
#: Ids as they are, and as the graph has those of other tenants.
GUESSES = [
    *IDS,
    *(f"{tenant}/{name}" for tenant in TENANTS for name in IDS),
    *(f"../{tenant}/{name_in(tenant, 'task')}" for tenant in TENANTS),
    *(name_in(tenant, "plan") + ".step" for tenant in TENANTS),
    *(name_in(tenant, "talk") + ":1" for tenant in TENANTS),
    *(name_in(tenant, "task") + ":1:a.txt" for tenant in TENANTS),
    *TENANTS,
]
#: It is the installation's own tenant, whose operators read the whole graph.
WHOLE_GRAPH = ("default", "read_cypher")


def token_of(tenant: str) -> str:
    said = claims(tenant=tenant, sub=f"somebody of {tenant}", roles=["admin"])
    return signed(said | {"exp": said["exp"] + 86_400})


async def callers() -> dict[str, Caller]:
    """Each tenant's admin, as their token says."""
    tokens = AccessTokens(settings())
    granted = [await tokens.access(token_of(tenant)) for tenant in TENANTS]
    return {one.tenant: Caller(principal=one.principal, tenant=one.tenant) for one in granted}


def question(chance: random.Random) -> dict[str, Any]:
    """A named question with parameters that may be anybody's."""
    query = chance.choice(list(REGISTRY.queries.values()))
    params: dict[str, Any] = {}
    for name, default in query.parameters.items():
        if name == "ids" or name.endswith("_ids"):
            params[name] = chance.sample(GUESSES, 3)
        elif isinstance(default, int):
            params[name] = chance.choice([default, 0, 1, 100])
        elif isinstance(default, list):
            params[name] = chance.sample(GUESSES, 2)
        else:
            params[name] = chance.choice([default, *GUESSES])
        if not isinstance(params[name], str | int | list | None):
            params[name] = chance.choice(GUESSES)
    return {"name": query.name, "params": params}


def guessed(tool: Tool, chance: random.Random) -> dict[str, Any]:
    """Arguments of a tool whose ids may be anybody's."""
    if tool.name == "run_named_query":
        return question(chance)
    made = {**sample_arguments(tool), **VALID.get(tool.name, {})}
    for name in tool.arguments.model_fields:
        if name in {"seconds", "wait_seconds"}:
            made[name] = 0
        elif name in {"id", "to", "template", "cursor"} or name.endswith("_id"):
            if name in made or chance.random() < 0.5:
                made[name] = chance.choice(GUESSES)
        elif name in {"ids", "depends_on"}:
            made[name] = chance.sample(GUESSES, 2)
        elif name in {"members", "add"}:
            made[name] = [{"agent_id": chance.choice(GUESSES)}]
        elif name in {"capabilities", "requires"} and chance.random() < 0.5:
            key = "name" if name == "capabilities" else "capability"
            made[name] = [{key: chance.choice(IDS)}]
        elif name == "leases":
            made[name] = [{"task_id": chance.choice(GUESSES), "attempt": 1}]
    if tool.name == "get_artifact":
        made["name"] = "a.txt"
    return made


async def heard(platform: Platform, caller: Caller, tool: Tool, arguments: Any) -> Any:
    """The answer, or the error as a caller gets it."""
    try:
        return await platform.call(tool.name, arguments, caller)
    except PlatformError as error:
        return error.to_dict()


async def history(platform: Platform, caller: Caller) -> list[dict[str, Any]]:
    """All events of a tenant."""
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["seq"] if events else 0
        page = await platform.call("get_history", {"after": after, "limit": 100}, caller)
        if not page["events"]:
            return events
        events += page["events"]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nobody_hears_a_word_of_another_tenant(tmp_path: Path) -> None:
    chance = random.Random(7)
    tools = sorted(REGISTRY.tools.values(), key=lambda tool: tool.name)
    told = dict.fromkeys(TENANTS, 0)
    async with running(tmp_path) as platform:
        everybody = await callers()
        for caller in everybody.values():
            await found(platform, caller)
        for _ in range(CALLS):
            tenant, tool = chance.choice(TENANTS), chance.choice(tools)
            if (tenant, tool.name) == WHOLE_GRAPH:
                continue
            arguments = guessed(tool, chance)
            answer = await heard(platform, everybody[tenant], tool, arguments)
            assert answer.get("code") != "internal_error"
            told[tenant] += is_told(tenant, answer)
            others = [one for one in TENANTS if one != tenant and is_told(one, answer)]
            assert not others, f"{tool.name} tells {tenant} of {others}: {arguments}"
        assert min(told.values()) > CALLS / 200, "hardly anything was answered at all"
        for tenant, caller in everybody.items():
            actors = {event["actor"] for event in await history(platform, caller)}
            assert actors <= {caller.principal.id, "timer"}, tenant


async def test_nobody_reads_another_tenant_over_http(tmp_path: Path) -> None:
    chance = random.Random(8)
    tools = sorted(REGISTRY.tools.values(), key=lambda tool: tool.name)
    async with (
        running(tmp_path) as platform,
        behind_door(platform, AccessTokens(settings())) as web,
    ):
        blobs = {
            tenant: await found(platform, caller) for tenant, caller in (await callers()).items()
        }
        for number in range(OVER_HTTP):
            tool = chance.choice(tools)
            call = tool_call(tool.name, guessed(tool, chance))
            headers = MCP_HEADERS | bearer(token_of("acme"))
            if number % 2:  # the way that the framework answers
                headers["Content-Type"] += "; charset=utf-8"
            answer = (await web.post("/mcp", json=call, headers=headers)).text
            assert canary("globex") not in answer
            assert canary("default") not in answer
        headers = bearer(token_of("acme"))
        for address in (
            f"/api/v1/tasks/{name_in('globex', 'task')}/artifacts/a.txt",
            *(f"/api/v1/blobs/{digest}" for digest in blobs["globex"].values()),
            *(f"/api/v1/blobs/{digest}" for digest in blobs["default"].values()),
        ):
            response = await web.get(address, headers=headers)
            assert (response.status_code, is_told("globex", response.content)) == (404, False)
        for digest in blobs["acme"].values():
            own = await web.get(f"/api/v1/blobs/{digest}", headers=headers)
            assert is_told("acme", own.content)
        page = await web.get("/", headers=headers)
        assert page.status_code == 200
        refused = await web.post(
            "/api/v1/tools/read_cypher",
            json={"query": "MATCH (n:Task) RETURN n.title AS title"},
            headers=headers,
        )
        assert (refused.status_code, refused.json()["code"]) == (403, "not_your_graph")
