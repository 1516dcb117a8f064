"""How the platform and its parts are, over HTTP."""

from collections.abc import AsyncIterator
from datetime import datetime

import httpx2
import pytest

from agent_orchestration.core.errors import Unavailable
from agent_orchestration.resilience import CircuitBreakerConfig, CircuitBreakerRegistry
from agent_orchestration.server import health
from tests.unit.server_fakes import FakeDispatcher, served


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
async def web(dispatcher: FakeDispatcher) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(dispatcher) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


async def test_all_is_well_where_every_check_is(
    web: httpx2.AsyncClient, dispatcher: FakeDispatcher
) -> None:
    response = await web.get("/api/v1/health")
    answer = response.json()
    assert (response.status_code, answer["status"]) == (200, "healthy")
    assert {name: one["status"] for name, one in answer["services"].items()} == {
        "log": "healthy",
        "graph": "healthy",
    }
    dispatcher.ready = False
    response = await web.get("/api/v1/health")
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert (await web.get("/api/v1/health/log")).status_code == 200
    response = await web.get("/api/v1/health/graph")
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")


async def test_what_is_not_ready_says_since_when(
    web: httpx2.AsyncClient, dispatcher: FakeDispatcher
) -> None:
    dispatcher.ready = False
    response = await web.get("/ready")
    since = "1970-01-01T00:00:01+00:00"
    assert response.status_code == 503
    assert response.json()["checks"]["graph"] == {
        "ok": False,
        "detail": "",
        "since": since,
        "seconds": 0.0,
    }
    graph = (await web.get("/api/v1/health")).json()["services"]["graph"]
    assert datetime.fromisoformat(graph["since"]) == datetime.fromisoformat(since)
    assert graph["seconds"] == 0.0
    assert "since 1970-01-01T00:00:01" in (await web.get("/")).text


async def test_an_open_breaker_degrades_and_no_more(
    web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise Unavailable("away", "nobody answers")

    breakers = CircuitBreakerRegistry()
    monkeypatch.setattr(health, "BREAKERS", breakers)
    name = "model m at http://127.0.0.1/v1"
    with pytest.raises(Unavailable):
        await breakers.breaker(name, CircuitBreakerConfig(failures=1)).call(fail)
    response = await web.get("/api/v1/health")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    response = await web.get(f"/api/v1/health/{name}")
    assert (response.status_code, response.json()["detail"]) == (503, "circuit breaker open")
    assert 0 <= response.json()["seconds"] < 60


async def test_what_nobody_knows_is_refused_with_what_there_is(web: httpx2.AsyncClient) -> None:
    response = await web.get("/api/v1/health/database")
    assert response.status_code == 404
    assert response.json()["reason"].endswith("known: log, graph")


@pytest.mark.parametrize(
    ("status", "breaker", "found"),
    [
        ("idle", "closed", "healthy"),
        ("busy", "half_open", "healthy"),
        ("busy", "open", "unhealthy"),
        ("offline", "closed", "unhealthy"),
        ("retired", "closed", "unhealthy"),
    ],
)
def test_an_agent_is_well_that_works_and_is_answered(status: str, breaker: str, found: str) -> None:
    agent = {
        "id": "ann",
        "name": "Ann",
        "kind": "human",
        "status": status,
        "seen_at": "2026-01-01T12:00:00Z",
        "active": 0,
        "max_concurrency": 1,
        "circuit_breaker_state": breaker,
    }
    told = health.agent_health(agent)
    assert told["health"] == found
    assert told.keys() == agent.keys() - {"kind"} | {"health"}
