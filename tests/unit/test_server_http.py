"""The HTTP routes and their guards, through real clients."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from agent_orchestration import __version__
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.core.operations import Verify
from agent_orchestration.resilience import (
    BREAKERS,
    CircuitBreakerConfig,
    CircuitBreakerRegistry,
)
from agent_orchestration.server import api
from agent_orchestration.server.callers import headers_for
from agent_orchestration.server.toolsets import parse_toolsets
from tests.unit.server_fakes import (
    ADA,
    OWNER,
    TOKEN,
    TOOLS,
    TRACEPARENT,
    FakeDispatcher,
    big_text,
    served,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(dispatcher: FakeDispatcher) -> AsyncIterator[str]:
    async with served(dispatcher) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def test_a_tool_is_a_plain_http_call(web: httpx2.AsyncClient) -> None:
    response = await web.post("/api/v1/tools/note", json={"text": "hi", "tags": ["a"]})
    assert response.status_code == 200
    assert response.json()["result"]["tags"] == ["a"]
    assert (await web.post("/api/v1/tools/whoami")).json()["result"]["principal"] == "local"


@pytest.mark.parametrize(
    ("tool", "arguments", "status", "code"),
    [
        ("get_task", {"task_id": "missing"}, 404, "unknown_task"),
        ("note", {"text": 1}, 422, "invalid_argument"),
        ("nothing", {}, 404, "unknown_tool"),
        ("break_down", {}, 500, "internal_error"),
    ],
)
async def test_errors_have_the_status_of_their_kind(
    web: httpx2.AsyncClient, tool: str, arguments: dict[str, Any], status: int, code: str
) -> None:
    response = await web.post(f"/api/v1/tools/{tool}", json=arguments)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "swordfish" not in response.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"text": "\x00"}', "malformed_json"),
        (b'{"text": "\\ud800"}', "malformed_json"),
        (b'{"text": NaN}', "malformed_json"),
        (b"[1]", "not_an_object"),
        (b"[" * 100_000 + b"]" * 100_000, "json_too_deep"),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    web: httpx2.AsyncClient, body: bytes, code: str
) -> None:
    response = await web.post("/api/v1/tools/note", content=body)
    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "body", [b"{", b'{"a": "\x00"}', b'{"a": "\\ud800"}', b"[" * 100_000 + b"]" * 100_000]
)
@pytest.mark.parametrize("version", [None, "2026-07-28"])
async def test_the_mcp_address_survives_bodies_that_are_no_request(
    web: httpx2.AsyncClient, body: bytes, version: str | None
) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if version:
        headers["MCP-Protocol-Version"] = version
    response = await web.post("/mcp", content=body, headers=headers)
    assert response.status_code in {400, 202}  # a JSON object without an id is a notification
    assert response.status_code == 400 or b"ud800" in body


async def test_the_tools_are_listed_with_their_schemas(web: httpx2.AsyncClient) -> None:
    tools = (await web.get("/api/v1/tools")).json()["tools"]
    assert {tool["name"] for tool in tools} == {tool.name for tool in TOOLS}
    assert tools[0]["input_schema"]["properties"]["text"]["type"] == "string"


async def test_blobs_are_downloaded_as_they_are(web: httpx2.AsyncClient) -> None:
    response = await web.get("/api/v1/blobs/binary")
    assert response.content == b"\xff\x00"
    assert response.headers["content-type"] == "application/octet-stream"
    assert (await web.get("/api/v1/blobs/none")).status_code == 404


async def test_operations_need_the_token_and_answer_line_by_line(
    web: httpx2.AsyncClient, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, wanted = "/api/v1/operations", {"type": "verify", "tenant": "acme"}
    assert (await web.post(path, json=wanted)).json()["code"] == "token_required"
    response = await web.post(path, json=wanted, headers=OWNER)
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines == [{"done": 1, "total": 2}, {"equal": True, "events": 2}]
    assert dispatcher.operations == [Verify("acme")]
    monkeypatch.setattr(dispatcher, "ready", False)
    assert (await web.post(path, json=wanted, headers=OWNER)).status_code == 422


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"type": "destroy"}', '{"type": "verify", "tenants": 1}']
)
async def test_an_operation_that_there_is_not_is_refused(
    web: httpx2.AsyncClient, body: str
) -> None:
    response = await web.post("/api/v1/operations", content=body, headers=OWNER)
    assert (response.status_code, response.json()["field"]) == (422, "body")


async def test_routes_that_do_not_exist_answer_in_json(web: httpx2.AsyncClient) -> None:
    assert (await web.get("/nowhere")).json()["code"] == "no_route"
    response = await web.get("/mcp")
    assert (response.status_code, response.json()["code"]) == (405, "refused")
    assert "POST" in response.headers["allow"]


async def test_the_token_lets_a_request_speak_for_another(web: httpx2.AsyncClient) -> None:
    headers = headers_for(ADA, TOKEN) | {"traceparent": TRACEPARENT}
    answer = (await web.post("/api/v1/tools/whoami", headers=headers)).json()["result"]
    assert answer == {
        "principal": "ada",
        "role": "viewer",
        "tenant": "acme",
        "correlation": "c-1",
        "traceparent": TRACEPARENT,
    }
    response = await web.post("/api/v1/tools/note", headers=headers, json={"text": "t"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": "Bearer wrong"}, "wrong_token"),
        ({"authorization": "Basic sesame"}, "wrong_token"),
        ({"X-Principal": '{"id":"ada","role":"admin"}'}, "token_required"),
        ({"X-Tenant": "acme"}, "token_required"),
        (OWNER | {"X-Principal": "ada"}, "invalid_header"),
        (OWNER | {"X-Principal": '{"id":"ada","role":"king"}'}, "invalid_header"),
        ({"X-Correlation-Id": "a b"}, "invalid_header"),
    ],
)
async def test_headers_that_claim_too_much_are_refused(
    web: httpx2.AsyncClient, headers: dict[str, str], code: str
) -> None:
    for path in ("/api/v1/tools/whoami", "/mcp"):
        response = await web.post(path, headers=headers, json={})
        assert response.json()["code"] == code
        assert response.status_code in {403, 422}


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("path", ["/api/v1/tools/note", "/mcp"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed(
    web: httpx2.AsyncClient, path: str, chunked: bool
) -> None:
    body = json.dumps({"text": big_text(11)}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    content = _in_chunks(body) if chunked else body
    response = await web.post(path, content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert "send less" in response.json()["reason"]


async def test_nine_megabytes_pass_over_the_plain_api(web: httpx2.AsyncClient) -> None:
    body = json.dumps({"text": big_text(9)}).encode()
    response = await web.post("/api/v1/tools/note", content=_in_chunks(body))
    assert response.json()["result"]["bytes"] == 9 * 1024 * 1024


async def test_a_foreign_host_or_origin_is_refused_everywhere_but_at_health(
    web: httpx2.AsyncClient,
) -> None:
    for path in ("/", "/ready", "/mcp", "/api/v1/tools", "/status.css"):
        assert (await web.get("/ready")).status_code == 200  # whoever was admitted admits nobody
        assert (await web.get(path, headers={"Host": "evil.example"})).status_code == 421
        assert (await web.get(path, headers={"Origin": "http://evil.example"})).status_code == 403
    assert (await web.get("/health", headers={"Host": "10.1.2.3"})).status_code == 200


async def test_allowed_hosts_are_served(dispatcher: FakeDispatcher) -> None:
    async with (
        served(dispatcher, allowed_hosts=["agents.example"]) as url,
        httpx2.AsyncClient(base_url=url) as web,
    ):
        assert (await web.get("/ready", headers={"Host": "agents.example"})).status_code == 200


async def test_health_and_readiness(
    web: httpx2.AsyncClient, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = await web.get("/health")
    assert health.json() == {"status": "ok", "version": __version__}
    assert (await web.get("/ready")).status_code == 200
    monkeypatch.setattr(dispatcher, "ready", False)
    response = await web.get("/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["graph"]["ok"] is False
    assert (await web.get("/health")).status_code == 200


async def test_the_circuit_breakers_of_the_process_are_shown(
    web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakers = CircuitBreakerRegistry(lambda: 5.0)
    monkeypatch.setattr(api, "BREAKERS", breakers)
    broken = breakers.breaker("model m", CircuitBreakerConfig(failures=1))

    async def fail() -> None:
        raise Unavailable("down", "down")

    with pytest.raises(Unavailable):
        await broken.call(fail)
    breakers.breaker("other")
    path = "/api/v1/circuit-breakers/status"
    shown = (await web.get(path)).json()
    first, second = shown["circuit_breakers"]
    assert (first["name"], first["state"], first["failures"]) == ("model m", "open", 1)
    since, again = (datetime.fromisoformat(first[name]) for name in ("since", "tries_again"))
    assert again - since == timedelta(seconds=60)
    assert (second["name"], second["state"], second["tries_again"]) == ("other", "closed", None)
    assert shown["agents"] == ["ann50"]
    assert (await web.get(path, params={"limit": "2"})).json()["agents"] == ["ann2"]
    assert (await web.get(path, params={"limits": "2"})).status_code == 422


async def test_prometheus_is_told_of_the_process_and_its_breakers(web: httpx2.AsyncClient) -> None:
    BREAKERS.breaker('a "quoted" service')
    response = await web.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(response.text)}
    assert families["process_resident_memory_bytes"].samples[0].value > 0
    assert families["requests_in_flight"].samples[0].value >= 1  # this one
    shown = {
        sample.labels["state"]: sample.value
        for sample in families["circuit_breaker_state"].samples
        if sample.labels["service"] == 'a "quoted" service'
    }
    assert shown == {"closed": 1, "open": 0, "half_open": 0}
    other = await web.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert other.headers["content-type"].startswith("application/openmetrics-text")
    assert other.text.endswith("# EOF\n")
    assert (await web.get("/metrics", headers={"Host": "elsewhere"})).status_code == 421


async def test_the_status_page_shows_the_counts_and_runs_nothing(
    web: httpx2.AsyncClient, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = await web.get("/")
    page = response.text
    assert "1,234" in page
    assert "&lt;ready&gt;" in page
    assert "<script" not in page
    assert "style=" not in page
    assert f"{web.base_url!s}".rstrip("/") + "/mcp" in page
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "prefers-color-scheme: dark" in (await web.get("/status.css")).text
    assert (await web.get("/icon.svg")).headers["content-type"] == "image/svg+xml"
    monkeypatch.setattr(dispatcher, "ready", False)
    assert "Not ready" in (await web.get("/")).text


async def test_an_unknown_toolset_is_refused_by_name(web: httpx2.AsyncClient) -> None:
    response = await web.post("/mcp", headers={"X-MCP-Toolsets": "everything"}, json={})
    assert response.status_code == 422
    assert response.json()["code"] == "unknown_toolset"
    assert "'everything'" in response.json()["reason"]
    with pytest.raises(
        Rejected, match="orchestrate, worker, converse, inspect, admin, accounts, all"
    ):
        parse_toolsets("everything")
