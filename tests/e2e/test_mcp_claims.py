"""Many callers at once: one outcome per key, one holder per task."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastmcp import Client

from tests.e2e.server_process import ERAS, Refused, Server, call, checked_log, running

pytestmark = pytest.mark.process

SESSIONS, AGENTS, TASKS, CLAIMS, AT_ONCE = 8, 50, 100, 1000, 2


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("claims")) as started:
        yield started


async def outcome(client: Client[Any], tool: str, **arguments: Any) -> dict[str, Any] | Refused:
    try:
        return await call(client, tool, **arguments)
    except Refused as refused:
        return refused


async def claimed_by(client: Client[Any], agent_id: str) -> dict[str, Any]:
    """A claim's answer. On a slow machine a server may be too busy for so many at once."""
    while True:
        answer = await outcome(client, "claim_task", agent_id=agent_id)
        if not isinstance(answer, Refused):
            return answer
        if answer.data["code"] != "busy":
            raise answer
        await asyncio.sleep(answer.data["retry_after"])


@pytest.mark.parametrize("era", ERAS)
async def test_two_callers_with_one_key_get_one_outcome(server: Server, era: str) -> None:
    async with server.mcp(era) as one, server.mcp("auto") as other:
        wanted = {"title": "once", "idempotency_key": "k"}
        first, second = await asyncio.gather(
            call(one, "create_task", **wanted), call(other, "create_task", **wanted)
        )
        assert first["task"]["id"] == second["task"]["id"]
        assert first["seq"] == second["seq"] == 1
        many = await asyncio.gather(*(call(one, "create_task", **wanted) for _ in range(20)))
        assert {answer["task"]["id"] for answer in many} == {first["task"]["id"]}
    assert checked_log(server.folder)["events"] == {"TaskCreated": 1}


@pytest.mark.parametrize("era", ERAS)
async def test_a_key_with_another_body_is_a_conflict(server: Server, era: str) -> None:
    async with server.mcp(era) as one, server.mcp("auto") as other:
        outcomes = await asyncio.gather(
            *(
                outcome(client, "create_task", title=title, idempotency_key="k")
                for client, title in ((one, "this"), (other, "that"))
            )
        )
        [refused] = [one for one in outcomes if isinstance(one, Refused)]
        assert refused.line.startswith("idempotency_conflict: idempotency_key: k was used before")
        assert (refused.data["error"], refused.data["field"]) == ("conflict", "idempotency_key")
        assert "use a new key" in refused.line
        # The same key for another tool is another key.
        agent = {"name": "A", "kind": "llm", "idempotency_key": "k"}
        registered = await call(one, "register_agent", capabilities=[], **agent)
        assert registered["seq"] == 2
    assert checked_log(server.folder)["events"] == {"AgentRegistered": 1, "TaskCreated": 1}


async def test_a_rejected_request_does_not_use_up_its_key(server: Server) -> None:
    async with server.mcp("auto") as client:
        later = {"title": "later", "depends_on": ["base"], "idempotency_key": "k"}
        refused = await outcome(client, "create_task", **later)
        assert isinstance(refused, Refused)
        await call(client, "create_task", id="base", title="base")
        assert (await call(client, "create_task", **later))["task"]["status"] == "blocked"


async def test_a_thousand_claims_at_once_give_each_task_to_one_agent(
    server: Server, record_property: Any
) -> None:
    async with AsyncExitStack() as stack:
        eras = ("legacy", "2026-07-28")
        clients = [
            await stack.enter_async_context(server.mcp(eras[number % 2]))
            for number in range(SESSIONS)
        ]
        await asyncio.gather(
            *(
                call(
                    clients[number % SESSIONS],
                    "register_agent",
                    id=f"agent-{number}",
                    name=f"Agent {number}",
                    kind="function",
                    capabilities=[{"name": "python"}],
                    max_concurrency=AT_ONCE,
                )
                for number in range(AGENTS)
            ),
            *(
                call(
                    clients[number % SESSIONS],
                    "create_task",
                    id=f"task-{number}",
                    title=f"Task {number}",
                    requires=[{"capability": "python", "level": 0.5}],
                    lease_seconds=600,
                )
                for number in range(TASKS)
            ),
        )
        began = time.perf_counter()
        answers = await asyncio.gather(
            *(
                claimed_by(clients[number % SESSIONS], f"agent-{number % AGENTS}")
                for number in range(CLAIMS)
            )
        )
        seconds = time.perf_counter() - began
    record_property("seconds", round(seconds, 3))
    sys.stdout.write(f"{CLAIMS} concurrent claims on {TASKS} tasks: {seconds:.2f} s\n")
    claimed = [answer["task"] for answer in answers if "task" in answer]
    assert len(claimed) == TASKS
    assert {task["id"] for task in claimed} == {f"task-{number}" for number in range(TASKS)}
    held = Counter(task["agent_id"] for task in claimed)
    assert max(held.values()) <= AT_ONCE
    assert {one["reason"] for one in answers if "task" not in one} <= {
        "at_capacity",
        "no_ready_task",
    }
    summary = checked_log(server.folder)
    assert summary["events"]["TaskClaimed"] == TASKS
    assert summary["tenants"]["default"]["most_tasks_held_at_once"] == TASKS
