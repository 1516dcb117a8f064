"""The history of a tenant, from a number or from an instant on, is the same on every graph."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.config import Config
from tests.contracts.test_queries import CALLER, NOW, graph_named, running
from tests.integration.world import Clock


@pytest.mark.parametrize("name", ["kglite", "neo4j"])
async def test_history_begins_with_the_first_event_since_an_instant(
    tmp_path: Path, name: str
) -> None:
    clock = Clock(NOW)
    with graph_named(name):
        made = Platform(open_backends(Config(data=tmp_path), clock), clock)
        async with running(made) as platform:
            for number in range(1, 5):
                arguments = {"id": f"t{number}", "title": "T"}
                await platform.call("create_task", arguments, CALLER)
                clock.pass_seconds(1)

            async def since(time: str, **more: Any) -> list[int]:
                answer = await platform.call("get_history", {"since": time, **more}, CALLER)
                return [event["seq"] for event in answer["events"]]

            third = "2023-11-14T22:13:22Z"
            assert await since(third) == await since("2023-11-15t00:13:21.001+02:00") == [3, 4]
            assert await since(third, after=3) == [4]
            assert await since(third, after=1, limit=1) == [3]
            assert await since(third, task_id="t4") == [4]
            assert await since(third, task_id="t1") == []
            assert await since("2023-11-14T22:13:24Z") == []
            assert await since("0001-01-02T00:00:00+14:00") == [1, 2, 3, 4]
            waiting = asyncio.create_task(since("2023-11-14T22:13:25Z", wait_seconds=20))
            for _ in range(2):
                await platform.call("create_task", {"title": "T"}, CALLER)
                clock.pass_seconds(1)
            assert await waiting == [6]
