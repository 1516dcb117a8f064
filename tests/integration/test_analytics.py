"""Analytics in the process that has the log, and asked for over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent_orchestration.analytics import serving
from agent_orchestration.analytics.recounting import recounted
from agent_orchestration.analytics.serving import RemoteAnalytics, create_app
from agent_orchestration.analytics.windows import LENGTH_MS
from agent_orchestration.app import REGISTRY
from agent_orchestration.core.analytics import Analytics, WindowsAsked
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, NotFound, Rejected, Unavailable
from agent_orchestration.core.messages import Principal
from tests.integration.world import World

ANYBODY = Principal("somebody", "agent", "ann")


async def work(world: World, tenant: str, name: str) -> None:
    """A task that waits for nobody, done by ann."""
    await world.task(name, tenant, requires=[{"capability": "python"}])
    held = await world.call("claim_task", tenant, agent_id="ann")
    await world.call("complete_task", tenant, task_id=name, agent_id="ann", attempt=held["attempt"])


async def test_windows_are_counted_from_the_log_for_each_tenant_alone(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for tenant in ("default", "acme"):
            await world.agent("ann", tenant, capabilities=[{"name": "python"}])
        await work(world, "acme", "a")
        await work(world, "acme", "b")
        with pytest.raises(NotFound):
            await world.call("form_team", "acme", goal="G", members=[{"agent_id": "nobody"}])
        found = await world.call("get_analytics", "acme", window="day")
        [day] = found["windows"]
        assert found["total"] == {name: day[name] for name in day if name != "start"}
        assert (day["tasks_created"], day["tasks_completed"], day["task_completion"]) == (2, 2, 1.0)
        assert (day["agents_registered"], day["teams_formed"], day["teams_refused"]) == (1, 0, 1)
        assert day["team_success"] == 0.0
        assert day["queue"]["count"] == day["run"]["count"] == 2
        assert found["seq"] == len(await world.events("acme"))
        await work(world, "acme", "c")
        again = await world.call(
            "get_analytics", "acme", window="day", measure="tasks", capability="python"
        )
        assert again["total"] == {
            "tasks_created": 3,
            "tasks_completed": 3,
            "tasks_failed": 0,
            "tasks_cancelled": 0,
            "task_completion": 1.0,
        }
        teams = await world.call(
            "get_analytics", "acme", window="day", measure="teams", capability="python"
        )
        assert teams["total"] == {"teams_formed": 0}
        other = await world.call("get_analytics", window="day", measure="tasks")
        assert other["total"]["tasks_created"] == 0


async def test_what_cannot_be_answered_is_refused_by_name(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for wrong in (
            {"window": "week"},
            {"measure": "money"},
            {"since": "yesterday"},
            {"capability": "a/b"},
            {"since": "2026-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"},
        ):
            with pytest.raises(Rejected) as refused:
                await world.call("get_analytics", **wrong)
            assert refused.value.details["field"] in wrong
        with pytest.raises(Forbidden):
            await world.platform.call("get_analytics", {}, Caller(principal=ANYBODY))


async def test_a_recount_is_what_was_counted_in_process(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", capabilities=[{"name": "python"}])
        for number in range(5):
            await work(world, "default", f"t{number}")
        asked = WindowsAsked("default", "minute")
        in_process = world.platform.analytics
        assert (await in_process.windows(asked))["windows"]
        counting = await recounted(world.log, REGISTRY)
        [history] = counting.histories.values()
        for size, length in LENGTH_MS.items():
            answer = await in_process.windows(WindowsAsked("default", size))
            assert [window["start"] // length for window in answer["windows"]] == [
                start // length for start in sorted(history.windows.of(size))
            ]
            assert sum(w["sums"].get("tasks_completed", 0) for w in answer["windows"]) == 5


class Known:
    """Knows everything."""

    def __init__(self) -> None:
        self.asked: list[WindowsAsked] = []

    async def windows(self, asked: WindowsAsked) -> dict[str, Any]:
        self.asked.append(asked)
        if asked.size == "minute":
            raise Rejected("invalid_argument", "since: too many", field="since")
        return {"seq": 7, "windows": [], "total": {}}


@asynccontextmanager
async def served(
    monkeypatch: pytest.MonkeyPatch, analytics: Analytics, token: str | None
) -> AsyncGenerator[str]:
    """Clients made meanwhile reach this application, whatever address they name."""
    transport = httpx2.ASGITransport(create_app(analytics, token))
    client = httpx2.AsyncClient

    def reaching(**options: Any) -> httpx2.AsyncClient:
        return client(transport=transport, **options)

    with monkeypatch.context() as patch:
        patch.setattr(serving.httpx2, "AsyncClient", reaching)
        yield "http://analytics:8200/"


async def test_a_server_asks_the_process_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = Known(), WindowsAsked("acme", "day", 1, 2, "python")
    async with served(monkeypatch, known, "the same on both sides") as url:
        remote = RemoteAnalytics(url, "the same on both sides")
        assert (await remote.windows(asked))["seq"] == 7
        assert known.asked == [asked]
        with pytest.raises(Rejected) as refused:
            await remote.windows(WindowsAsked("acme", "minute"))
        assert refused.value.details == {"field": "since"}
        for stranger in ("another token", None):
            with pytest.raises(Unavailable) as kept_out:
                await RemoteAnalytics(url, stranger).windows(asked)
            assert kept_out.value.details["field"] == "server.token"
    assert known.asked[1:] == [WindowsAsked("acme", "minute")]


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
async def test_without_it_the_answer_says_what_to_do(url: str | None) -> None:
    with pytest.raises(Unavailable, match=r"analytics\.url") as missing:
        await RemoteAnalytics(url, None).windows(WindowsAsked("acme", "day"))
    assert missing.value.code == "no_analytics"
