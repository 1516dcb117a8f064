"""A real MCP client that starts the program itself, as desktop programs do."""

from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY
from tests.e2e.journey import Journey
from tests.e2e.server_process import ERAS, call, checked_log, running, stdio_client

pytestmark = pytest.mark.process


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_does_the_whole_journey(tmp_path: Path, era: str) -> None:
    async with stdio_client(tmp_path, era) as client:
        assert {tool.name for tool in await client.list_tools()} == set(REGISTRY.tools)
        await Journey(client, "stdio").run()
    checked_log(tmp_path)


async def test_what_is_done_over_stdio_is_there_for_the_next_process(tmp_path: Path) -> None:
    async with stdio_client(tmp_path) as client:
        await call(client, "create_task", id="kept", title="kept", idempotency_key="k")
    async with stdio_client(tmp_path) as client:
        shown = await call(client, "get_task", task_id="kept")
        again = await call(client, "create_task", id="kept", title="kept", idempotency_key="k")
    assert (shown["task"]["title"], again["seq"]) == ("kept", 1)


async def test_a_client_that_joins_a_server_does_the_whole_journey(tmp_path: Path) -> None:
    with running(tmp_path):
        async with stdio_client(tmp_path) as client:
            await Journey(client, "joined").run()
    checked_log(tmp_path)
