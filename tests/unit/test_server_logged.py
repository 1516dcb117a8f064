"""Calls from outside leave one line each in the log, whichever way they came."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.log_lines import log_lines
from tests.unit.server_fakes import ERAS, FakeDispatcher, in_memory, mcp_client, served

CANARY = "canary-5e1f"
IDS = {"X-Correlation-Id": "c-1", "X-Request-Id": "r-1"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with served(FakeDispatcher()) as url:
        yield url


async def test_a_change_is_one_line_that_says_how_it_ended(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url, headers=IDS) as web:
        with log_lines() as lines:
            await web.post("/api/v1/tools/note", json={"text": CANARY})
            await web.post("/api/v1/tools/note", json={"txet": CANARY})
            await web.post("/api/v1/tools/whoami")
    done, refused = lines.all(tool="note", correlation="c-1", request_id="r-1", tenant="default")
    assert (done["message"], done["outcome"], done["level"]) == (
        "note: answered",
        "answered",
        "INFO",
    )
    assert done["duration_ms"] > 0
    assert (refused["outcome"], refused["code"]) == ("rejected", "invalid_argument")
    assert len(lines.all()) == 2
    assert CANARY not in lines.text


async def test_what_changes_nothing_is_for_debugging(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url) as web:
        with log_lines("DEBUG") as lines:
            await web.post("/api/v1/tools/whoami")
            await web.post("/api/v1/tools/get_task", json={"task_id": "t-1"})
            await web.post("/api/v1/tools/get_task", json={"task_id": f"{CANARY} is no id"})
            await web.post(f"/api/v1/tools/{CANARY}")
    assert {line["level"] for line in lines.all()} == {"DEBUG"}
    assert [line["tool"] for line in lines.all()] == ["whoami", "get_task", "get_task"]
    assert [line.get("task_id") for line in lines.all()] == [None, "t-1", None]
    assert CANARY not in lines.text


@pytest.mark.parametrize("era", ERAS)
async def test_calls_over_mcp_are_the_same(url: str, era: str) -> None:
    with log_lines() as lines:
        async with mcp_client(url, era) as client:
            await client.call_tool("note", {"text": CANARY})
            await client.call_tool("break_down", raise_on_error=False)
    note, broken, cause = lines.all()
    assert (note["tool"], note["outcome"]) == ("note", "answered")
    assert (broken["tool"], broken["outcome"]) == ("break_down", "failed")
    assert (cause["level"], "swordfish" in cause["exception"]) == ("ERROR", True)
    assert broken["correlation"] == cause["correlation"] != note["correlation"]
    assert CANARY not in lines.text


async def test_a_client_over_stdio_gets_a_correlation_too() -> None:
    async with in_memory(FakeDispatcher()) as client:
        with log_lines() as lines:
            await client.call_tool("note", {"text": "t"})
            told = await client.call_tool("whoami", {})
    [note] = lines.all(tool="note")
    assert len(note["correlation"]) == 32
    assert told.structured_content is not None
    assert told.structured_content["correlation"] not in (None, note["correlation"])


async def test_who_sends_no_correlation_gets_one(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url) as web:
        with log_lines() as lines:
            told = (await web.post("/api/v1/tools/whoami")).json()["result"]
            await web.post(
                "/api/v1/tools/note", json={"text": "t"}, headers={"X-Request-Id": "a b"}
            )
    assert len(told["correlation"]) == 32
    [note] = lines.all(tool="note")
    assert len(note["correlation"]) == 32
    assert "request_id" not in note
