"""Serving: starting, long calls, stopping; through real clients."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.server.http import create_app
from agent_orchestration.server.serve import serve_http
from tests.unit.server_fakes import (
    FakeDispatcher,
    mcp_client,
    served,
)


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
async def url(dispatcher: FakeDispatcher) -> AsyncIterator[str]:
    async with served(dispatcher) as address:
        yield address


async def _waiting_call(url: str, dispatcher: FakeDispatcher, door: str) -> asyncio.Task[Any]:
    async def over_http() -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=url, timeout=30) as web:
            return await web.post("/api/v1/tools/wait_for_release")

    async def over_mcp() -> Any:
        async with mcp_client(url, door) as client:
            return await client.call_tool("wait_for_release", raise_on_error=False)

    call = asyncio.create_task(over_http() if door == "http" else over_mcp())
    await dispatcher.waiting.wait()
    return call


@pytest.mark.parametrize("door", ["http", "legacy", "2026-07-28"])
async def test_a_call_is_withdrawn_when_its_client_goes(
    url: str, dispatcher: FakeDispatcher, door: str
) -> None:
    call = await _waiting_call(url, dispatcher, door)
    call.cancel()
    await asyncio.wait({call})
    async with asyncio.timeout(10):
        await dispatcher.abandoned.wait()


async def test_a_call_that_waits_is_answered_when_it_is_released(
    url: str, dispatcher: FakeDispatcher
) -> None:
    call = await _waiting_call(url, dispatcher, "2026-07-28")
    dispatcher.release.set()
    assert not (await call).is_error


async def test_stopping_answers_what_still_waits_within_three_seconds(
    dispatcher: FakeDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(6):
        async with served(dispatcher) as url:
            call = await _waiting_call(url, dispatcher, "http")
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 3.5
        response: httpx2.Response = await call
    assert (response.status_code, response.json()["code"]) == (503, "stopping")
    assert response.json()["error"] == "unavailable"
    assert "Traceback" not in caplog.text


async def test_a_port_in_use_is_refused_with_its_remedy(url: str) -> None:
    port = int(url.rpartition(":")[2])
    app = create_app(FakeDispatcher(), toolsets=None, token=None)
    with pytest.raises(Rejected, match="choose another port") as refused:
        await serve_http(app, "127.0.0.1", port)
    assert refused.value.code == "port_in_use"
    with pytest.raises(Rejected, match="is no address here"):
        await serve_http(app, "host.invalid", 0)


async def test_a_failure_while_telling_stops_the_server(dispatcher: FakeDispatcher) -> None:
    told: list[str] = []

    async def on_started(url: str) -> None:
        told.append(url)
        raise Rejected("taken", "another owner was faster")

    app = create_app(dispatcher, toolsets=None, token=None)
    with pytest.raises(Rejected, match="another owner was faster"):
        await serve_http(app, "127.0.0.1", 0, on_started=on_started)
    async with httpx2.AsyncClient() as web:
        with pytest.raises(httpx2.ConnectError):
            await web.get(told[0])


def test_importing_the_package_does_not_import_the_framework() -> None:
    check = "import agent_orchestration.server, sys; sys.exit('fastmcp' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
