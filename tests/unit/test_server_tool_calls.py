"""The short way of a tool call answers like the framework, and leaves everything else to it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.server.guard import CALLER
from agent_orchestration.server.tool_calls import ToolCalls
from tests.e2e.server_process import ERAS
from tests.unit.server_fakes import ADA, TRACEPARENT, FakeDispatcher, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
#: The same to everybody who reads the standard, and not plain.
FRAMEWORK = HEADERS | {"content-type": "application/json; charset=utf-8"}

OTHER = TRACEPARENT.replace("b7ad", "ffff")


def request(name: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, **more}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        served(FakeDispatcher()) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, headers={"X-Correlation-Id": "c"}) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "body",
    [
        request("note", {"text": "hi", "tags": ["a"]}),
        request("note", {"text": "é\U0001f600 \n", "parts": [{"name": "p", "level": 0.5}]}),
        request("note", {"text": "hi"}, _meta={"progressToken": 3, "other": {"a": [1]}}),
        request("whoami", {}, _meta={"traceparent": TRACEPARENT}),
        request("whoami", {}, _meta={"traceparent": 7}),
        request("note", {"text": 1}),
        request("note", {"text": 123456789012345678901234567890}),
        request("whoami"),
        request("whoami", {}) | {"id": "one"},
        request("get_task", {"task_id": "missing"}),
        request("purge", {}),
        request("get_overview", {}),
    ],
    ids=lambda body: json.dumps(body["params"])[:60],
)
async def test_both_ways_answer_the_same(web: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    short = await web.post("/mcp", json=body, headers=HEADERS)
    framework = await web.post("/mcp", json=body, headers=FRAMEWORK)
    assert short.status_code == framework.status_code == 200
    assert short.json() == framework.json()
    assert short.headers["content-type"] == framework.headers["content-type"]


@pytest.mark.parametrize("headers", [HEADERS, FRAMEWORK], ids=["short", "framework"])
@pytest.mark.parametrize(
    ("sent", "counts"),
    [(TRACEPARENT, TRACEPARENT), ("00-x", OTHER), (7, OTHER), (None, OTHER)],
)
async def test_the_trace_in_meta_goes_before_that_of_the_request(
    web: httpx2.AsyncClient, headers: dict[str, str], sent: object, counts: str
) -> None:
    body = request("whoami", {}, _meta={"traceparent": sent})
    answer = await web.post("/mcp", json=body, headers=headers | {"traceparent": OTHER})
    assert answer.json()["result"]["structuredContent"]["traceparent"] == counts


@pytest.mark.parametrize("era", ERAS)
async def test_clients_of_both_eras_send_their_trace(web: httpx2.AsyncClient, era: str) -> None:
    async with Client(StreamableHttpTransport(f"{web.base_url}/mcp"), mode=era) as client:
        answer = await client.call_tool("whoami", {}, meta={"traceparent": TRACEPARENT})
    assert (answer.structured_content or {})["traceparent"] == TRACEPARENT


async def test_an_unexpected_error_is_masked(web: httpx2.AsyncClient) -> None:
    answers = [
        (await web.post("/mcp", json=request("break_down", {}), headers=headers)).json()["result"]
        for headers in (HEADERS, FRAMEWORK)
    ]
    for answer in answers:
        assert answer["isError"]
        assert "swordfish" not in json.dumps(answer)
    short, framework = answers
    assert short.keys() == framework.keys()


class Framework:
    """Stands behind the short way; keeps what comes through."""

    def __init__(self) -> None:
        self.body: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = b""
        while (message := await receive())["type"] == "http.request":
            self.body += message["body"]
            if not message["more_body"]:
                break
        await PlainTextResponse("framework")(scope, receive, send)


async def passed_on(
    body: bytes, headers: dict[str, str] | None = None, path: str = "/mcp", method: str = "POST"
) -> bytes | None:
    """What the framework is given of a request that comes in two parts; None for nothing."""
    framework = Framework()
    parts: list[Message] = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "body": body[10:], "more_body": False},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(k.encode(), v.encode()) for k, v in (HEADERS | (headers or {})).items()]
    scope: Scope = {"type": "http", "method": method, "path": path, "headers": raw, CALLER: ADA}
    await ToolCalls(framework, FakeDispatcher(), "/mcp")(scope, receive, send)
    assert sent[0]["status"] == 200
    return framework.body


@pytest.mark.parametrize("version", [None, "2024-11-05", "2025-11-25"])
async def test_a_plain_call_goes_the_short_way(version: str | None) -> None:
    body = json.dumps(request("whoami", {})).encode()
    assert await passed_on(body, {"mcp-protocol-version": version} if version else None) is None


@pytest.mark.parametrize(
    "body",
    [
        request("nothing", {}),
        request("whoami", []),
        request("whoami", {}, task={}),
        request("whoami", {}, _meta={"progressToken": []}),
        request("whoami", {}) | {"id": None},
        request("whoami", {}) | {"id": True},
        request("whoami", {}) | {"method": "tools/list"},
        request("whoami", {}) | {"jsonrpc": "1.0"},
        request("whoami", {}) | {"more": 1},
        [request("whoami", {})],
        {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "whoami"}},
        "text",
    ],
    ids=json.dumps,
)
async def test_another_message_goes_on_as_it_came(body: Any) -> None:
    sent = json.dumps(body).encode()
    assert await passed_on(sent) == sent


@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 20, b"[" * 100_000, b'{"id": NaN}'])
async def test_what_is_no_message_goes_on_as_it_came(body: bytes) -> None:
    assert await passed_on(body) == body


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/event-stream"},
        {"content-type": "text/plain"},
        {"mcp-protocol-version": "2026-07-28"},
        {"mcp-protocol-version": "1999-01-01"},
    ],
    ids=str,
)
async def test_other_headers_are_for_the_framework(headers: dict[str, str]) -> None:
    body = json.dumps(request("whoami", {})).encode()
    assert await passed_on(body, headers) == body


async def test_other_paths_and_methods_are_for_the_framework() -> None:
    body = json.dumps(request("whoami", {})).encode()
    assert await passed_on(body, path="/mcp/") == body
    assert await passed_on(body, method="PUT") == body


async def test_a_client_that_leaves_in_the_middle_is_left_to_the_framework() -> None:
    framework = Framework()
    parts: list[Message] = [
        {"type": "http.request", "body": b'{"jsonrpc"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        del message

    raw = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
    scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": raw}
    scope[CALLER] = Caller()
    await ToolCalls(framework, FakeDispatcher(), "/mcp")(scope, receive, send)
    assert framework.body == b'{"jsonrpc"'
