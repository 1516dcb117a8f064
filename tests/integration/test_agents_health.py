"""The health of agents, over HTTP."""

from pathlib import Path

import httpx2

from agent_orchestration.server.http import create_app
from tests.integration.world import World
from tests.listening import listening


async def test_the_callers_agents_are_told_page_by_page(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for name in ("ann", "bob", "cyd"):
            await world.agent(name)
        await world.call("retire_agent", agent_id="bob")
        app = create_app(world.platform, toolsets=None, token=None)
        async with listening(app) as url, httpx2.AsyncClient(base_url=url) as web:
            first = (await web.get("/api/v1/agents/health", params={"limit": 2})).json()
            told = [(one["id"], one["status"], one["health"]) for one in first["agents"]]
            assert told == [("ann", "idle", "healthy"), ("bob", "retired", "unhealthy")]
            more = {"limit": 2, "cursor": first["next_cursor"]}
            last = (await web.get("/api/v1/agents/health", params=more)).json()
            assert [one["id"] for one in last["agents"]] == ["cyd"]
            assert "next_cursor" not in last
            idle = await web.get("/api/v1/agents/health", params={"status": "idle"})
            assert [one["id"] for one in idle.json()["agents"]] == ["ann", "cyd"]
            refused = await web.get("/api/v1/agents/health", params={"limit": "many"})
            assert (refused.status_code, refused.json()["field"]) == (422, "limit")
