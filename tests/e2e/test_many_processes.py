"""Many processes on one data folder: one owner, all answered, nothing lost when it is killed."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from agent_orchestration.data_folder import DataFolder
from tests.e2e.program import PATIENCE, ROOT, answer, started
from tests.e2e.server_process import call, checked_log, running, stdio_client

pytestmark = pytest.mark.process

SAMPLE = str(ROOT / "agent_orchestration" / "examples" / "album.json")
CLIENTS = 3
DATA = ("--data", "data")


def owner_pid(folder: Path) -> int | None:
    owner = DataFolder(folder / "data").owner()
    return owner.pid if owner else None


@asynccontextmanager
async def stdio_clients(folder: Path) -> AsyncGenerator[list[Client[Any]]]:
    async with AsyncExitStack() as stack:
        made = (stack.enter_async_context(stdio_client(folder)) for _ in range(CLIENTS))
        yield list(await asyncio.gather(*made))


class Creator:
    """Creates tasks one after the other and keeps the ids of those that were acknowledged."""

    def __init__(self, client: Client[Any], name: str) -> None:
        self._client = client
        self._name = name
        self.acknowledged: list[str] = []

    async def until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            task_id = f"{self._name}-{len(self.acknowledged)}"
            made = await call(self._client, "create_task", id=task_id, title=task_id)
            assert made["task"]["id"] == task_id
            self.acknowledged.append(task_id)


async def all_task_ids(client: Client[Any]) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await call(client, "list_tasks", limit=200, cursor=cursor)
        found += [task["id"] for task in page["tasks"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


def verb(folder: Path, *words: str) -> asyncio.Future[Any]:
    """A verb in a process of its own; its --json answer."""
    return asyncio.ensure_future(asyncio.to_thread(answer, folder, *words, *DATA))


async def test_all_at_once_they_have_one_owner_and_are_all_answered(tmp_path: Path) -> None:
    with running(tmp_path) as dev:
        async with stdio_clients(tmp_path) as clients:
            creators = [Creator(client, f"c{n}") for n, client in enumerate(clients)]
            verbs = [
                verb(tmp_path, "run", SAMPLE, "--speed", "16"),
                verb(tmp_path, "call", "create_task", "id=by-call", "title=T"),
                verb(tmp_path, "query", "MATCH (n) RETURN count(n) AS nodes"),
                verb(tmp_path, "query", "--name", "tasks_by_status"),
                verb(tmp_path, "agents", "list"),
            ]

            def done() -> bool:
                return all(one.done() for one in verbs)

            await asyncio.gather(*(creator.until(done) for creator in creators), *verbs)
            assert verbs[0].result()["tasks"]["by_status"] == {"completed": 13}
            assert owner_pid(tmp_path) == dev.pid
            created = {"by-call"}.union(*(creator.acknowledged for creator in creators))
            for client in clients:
                ids = await all_task_ids(client)
                assert len(ids) == len(created) + 13
                assert created <= set(ids)
    checked_log(tmp_path)


async def test_when_the_owner_is_killed_another_takes_over_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as dev:
        async with stdio_clients(tmp_path) as clients:
            replay = verb(tmp_path, "run", SAMPLE, "--speed", "4")
            creators = [Creator(client, f"c{n}") for n, client in enumerate(clients)]

            def count() -> int:
                return sum(len(creator.acknowledged) for creator in creators)

            await asyncio.gather(*(one.until(lambda: count() >= 60) for one in creators))
            killed = asyncio.get_running_loop().call_later(0.05, os.kill, dev.pid, signal.SIGKILL)
            before = [len(one.acknowledged) for one in creators]

            def enough(number: int) -> bool:
                after_the_kill = owner_pid(tmp_path) not in (dev.pid, None)
                return after_the_kill and len(creators[number].acknowledged) > before[number] + 20

            await asyncio.gather(
                *(one.until(lambda n=n: enough(n)) for n, one in enumerate(creators)),
                verb(tmp_path, "call", "create_task", "id=by-call", "title=T"),
                verb(tmp_path, "query", "MATCH (n) RETURN count(n) AS nodes"),
            )
            killed.cancel()
            said = await replay
            assert said["tasks"]["by_status"] == {"completed": 13}
            assert owner_pid(tmp_path) not in (dev.pid, os.getpid())
            created = {"by-call"}.union(*(creator.acknowledged for creator in creators))
            ids = await all_task_ids(clients[0])
            assert created <= set(ids)
            assert len(ids) == len(created) + 13, "each was created once"
            assert {await one for one in map(seq_of, clients)} == {await seq_of(clients[0])}
    summary = checked_log(tmp_path)
    assert summary["events"]["TaskCompleted"] == 13
    rebuilt = await verb(tmp_path, "rebuild")
    assert rebuilt["equal"]


async def seq_of(client: Client[Any]) -> int:
    return (await call(client, "get_overview"))["seq"]


async def test_owner_after_owner_is_killed_and_every_answer_stays_true(tmp_path: Path) -> None:
    """Each owner is a `dev` that is killed while the client's calls are under way."""
    chance = random.Random(1)
    async with AsyncExitStack() as stack:
        first = stack.enter_context(running(tmp_path))
        client = await stack.enter_async_context(stdio_client(tmp_path))
        creator = Creator(client, "c")
        await creator.until(lambda: len(creator.acknowledged) >= 5)
        os.kill(first.pid, signal.SIGKILL)
        # The client's process takes over; short verbs join it while it works.
        target = len(creator.acknowledged) + chance.randint(20, 40)
        await asyncio.gather(
            creator.until(lambda: len(creator.acknowledged) >= target),
            *(verb(tmp_path, "call", "create_task", f"id=v{n}", "title=T") for n in range(3)),
        )
        ids = await all_task_ids(client)
        assert sorted(ids) == sorted([*creator.acknowledged, "v0", "v1", "v2"])
    checked_log(tmp_path)


# --- the graph is derived ------------------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(50_000))


def test_a_graph_of_garbage_is_set_aside_and_made_anew_before_anybody_reads_it(
    tmp_path: Path,
) -> None:
    with started(tmp_path, "run", SAMPLE, "--speed", "1e6", "--json", *DATA) as replay:
        assert replay.wait(PATIENCE) == 0
    before = answer(tmp_path, "call", "get_overview", *DATA)
    assert before["tasks"] == {"completed": 13}
    garbage(tmp_path / "data" / "graph.kgl")
    assert answer(tmp_path, "call", "get_overview", *DATA) == before
    assert len(list((tmp_path / "data").glob("unreadable-*-graph.kgl"))) == 1
    assert answer(tmp_path, "rebuild", *DATA)["equal"]
    checked_log(tmp_path)


async def test_many_processes_that_find_garbage_make_the_graph_anew_once(tmp_path: Path) -> None:
    answer(tmp_path, "call", "create_task", "id=kept", "title=T", *DATA)
    garbage(tmp_path / "data" / "graph.kgl")
    shown = await asyncio.gather(*(verb(tmp_path, "tasks", "get", "kept") for _ in range(4)))
    assert [task["title"] for task in shown] == ["T"] * 4
    assert len(list((tmp_path / "data").glob("unreadable-*-graph.kgl"))) == 1
