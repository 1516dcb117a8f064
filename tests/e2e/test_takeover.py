"""One owner per data folder: others join it, one takes over when it ends, and no call is lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from agent_orchestration import repeating
from agent_orchestration.app import REGISTRY
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Corrupt, NotFound, Rejected, Unavailable
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.data_folder import DataFolder
from agent_orchestration.joined import FolderDispatcher
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from tests.e2e.program import (
    PATIENCE,
    PROGRAM,
    ROOT,
    answer,
    environment,
    run,
    server,
    started,
    wait_for,
)

pytestmark = pytest.mark.process

LOCAL = Caller()


@asynccontextmanager
async def dispatcher(folder: Path, *, serve: bool = True) -> AsyncGenerator[FolderDispatcher]:
    """A dispatcher of this process on `folder/data`."""
    made = FolderDispatcher(Config(data=folder / "data"), serve=serve)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def create(on: FolderDispatcher, title: str) -> dict[str, Any]:
    return (await on.call("create_task", {"title": title}, LOCAL))["task"]


async def titles(on: FolderDispatcher) -> list[str]:
    page = await on.call("list_tasks", {"limit": 200}, LOCAL)
    found = [task["title"] for task in page["tasks"]]
    while cursor := page.get("next_cursor"):
        page = await on.call("list_tasks", {"limit": 200, "cursor": cursor}, LOCAL)
        found += [task["title"] for task in page["tasks"]]
    return sorted(found)


async def seqs(on: FolderDispatcher) -> list[int]:
    found: list[int] = []
    while page := (
        await on.call("get_history", {"after": found[-1] if found else 0, "limit": 200}, LOCAL)
    )["events"]:
        found += [event["seq"] for event in page]
    return found


def owner_pid(folder: Path) -> int:
    owner = DataFolder(folder / "data").owner()
    return owner.pid if owner else 0


# --- joining -------------------------------------------------------------------------------------


async def test_the_second_joins_the_first_and_both_see_the_same(tmp_path: Path) -> None:
    async with dispatcher(tmp_path) as first:
        made = await create(first, "by the owner")
        async with dispatcher(tmp_path) as second:
            assert (first.owns, second.owns) == (True, False)
            shown = await second.call("get_task", {"task_id": made["id"]}, LOCAL)
            assert shown["task"]["title"] == "by the owner"
            other = await create(second, "by the joined")
            shown = await first.call("get_task", {"task_id": other["id"]}, LOCAL)
            assert shown["task"]["title"] == "by the joined"
            assert (await first.status())["role"] == "owner"
            assert (await second.status())["role"] == "joined"


async def test_errors_are_the_same_for_owner_and_joined(tmp_path: Path) -> None:
    async with dispatcher(tmp_path) as first, dispatcher(tmp_path) as second:
        for one in (first, second):
            with pytest.raises(NotFound) as absent:
                await one.call("get_task", {"task_id": "absent"}, LOCAL)
            assert absent.value.code == "unknown_task"
            with pytest.raises(Rejected, match="priority"):
                await one.call("create_task", {"title": "x", "priority": 9}, LOCAL)
            with pytest.raises(NotFound):
                await one.call("no_such_tool", {}, LOCAL)
            with pytest.raises(NotFound):
                await one.read_blob("0" * 64, LOCAL)
            with pytest.raises(Rejected):
                await one.call("create_task", {"title": "\ud800"}, LOCAL)


async def test_a_joined_process_reads_blobs_and_rebuilds(tmp_path: Path) -> None:
    async with dispatcher(tmp_path) as first, dispatcher(tmp_path) as second:
        large = {"title": "large", "payload": "x" * 100_000}
        task = (await second.call("create_task", large, LOCAL))["task"]
        content = await second.read_blob(task["payload"]["$blob"], LOCAL)
        assert content == await first.read_blob(task["payload"]["$blob"], LOCAL)
        steps = [step async for step in second.operate(Rebuild())]
        assert steps[-1]["equal"]


def test_many_short_verbs_at_once_on_a_new_folder_all_succeed(tmp_path: Path) -> None:
    words = ["call", "create_task", "--json", "--data", "data"]
    commands = [[*words, f"title=task {number}"] for number in range(6)]
    with contextlib.ExitStack() as stack:
        verbs = [
            stack.enter_context(started(tmp_path, *command, stderr=subprocess.PIPE))
            for command in commands
        ]
        for verb in verbs:
            _, errors = verb.communicate(timeout=PATIENCE)
            assert verb.returncode == 0, errors
    rows = answer(tmp_path, "tasks", "list", "--data", "data")
    assert sorted(row["title"] for row in rows) == [f"task {number}" for number in range(6)]


# --- taking over ---------------------------------------------------------------------------------


def test_an_idle_joined_server_takes_over_from_a_killed_owner(tmp_path: Path) -> None:
    with server(tmp_path) as (first, _), server(tmp_path) as (second, said):
        assert owner_pid(tmp_path) == first.pid
        answer(tmp_path, "call", "create_task", "id=kept", "title=Kept", "--data", "data")
        first.kill()
        wait_for(lambda: owner_pid(tmp_path) == second.pid, "the second to own the folder")
        owner = DataFolder(tmp_path / "data").owner()
        assert owner is not None
        assert owner.url == said["url"]
        shown = answer(tmp_path, "tasks", "get", "kept", "--data", "data")
        assert shown["title"] == "Kept"
        done = run(tmp_path, "doctor", "--data", "data")
        assert f"process {second.pid}" in done.stdout


async def test_no_call_is_lost_or_doubled_when_the_owner_is_killed(tmp_path: Path) -> None:
    count = 300
    with server(tmp_path) as (owner, _):
        async with dispatcher(tmp_path) as second:
            assert not second.owns
            answered, at_once = 0, asyncio.Semaphore(20)

            async def one(number: int) -> None:
                nonlocal answered
                async with at_once:
                    await create(second, f"task {number:03}")
                answered += 1
                if answered == count // 3:
                    owner.kill()

            await asyncio.gather(*(one(number) for number in range(count)))
            assert second.owns
            assert await titles(second) == [f"task {number:03}" for number in range(count)]
            found = await seqs(second)
            assert found == list(range(1, len(found) + 1))


@pytest.mark.skipif(sys.platform == "win32", reason="no orderly end by signal")
async def test_a_claim_that_waits_survives_the_orderly_end_of_the_owner(tmp_path: Path) -> None:
    with server(tmp_path) as (owner, _):
        async with dispatcher(tmp_path) as second:
            skills = [{"name": "python"}]
            agent = {"id": "ada", "name": "Ada", "kind": "llm", "capabilities": skills}
            await second.call("register_agent", agent, LOCAL)
            waiting = {"agent_id": "ada", "wait_seconds": 40}
            claim = asyncio.create_task(second.call("claim_task", waiting, LOCAL))
            owner.send_signal(signal.SIGTERM)
            await asyncio.to_thread(owner.wait, PATIENCE)
            made = await create(second, "at last")
            assert (await claim)["task"]["id"] == made["id"]
            assert second.owns


async def test_one_of_several_takes_over_and_the_others_join_it(tmp_path: Path) -> None:
    with server(tmp_path) as (owner, _):
        async with dispatcher(tmp_path) as second, dispatcher(tmp_path) as third:
            await create(second, "before")
            owner.kill()
            await asyncio.gather(create(second, "after a"), create(third, "after b"))
            assert sorted((second.owns, third.owns)) == [False, True]
            assert await titles(third) == ["after a", "after b", "before"]


async def test_a_desktop_client_goes_on_when_the_owner_is_killed(tmp_path: Path) -> None:
    words = [*PROGRAM[1:], "mcp", "--data", str(tmp_path / "data")]
    transport = StdioTransport(
        PROGRAM[0], words, env=environment(tmp_path), cwd=str(tmp_path), keep_alive=False
    )
    with server(tmp_path) as (owner, _):
        async with Client(transport) as client:
            await client.call_tool("create_task", {"id": "a", "title": "Before"})
            owner.kill()
            await client.call_tool("create_task", {"id": "b", "title": "After"})
            found = (await client.call_tool("list_tasks")).structured_content
            assert found is not None
            assert [task["id"] for task in found["tasks"]] == ["a", "b"]
            assert owner_pid(tmp_path) not in (owner.pid, os.getpid())


async def a_task_is_completed(folder: Path, workflow: subprocess.Popen[str]) -> None:
    """Wait for it in this process: to start another for each look takes as long as the workflow."""
    async with asyncio.timeout(PATIENCE), dispatcher(folder, serve=False) as client:
        while not (await client.call("list_tasks", {"status": "completed"}, LOCAL))["tasks"]:
            assert workflow.poll() is None, workflow.communicate()
            await asyncio.sleep(0.01)


def test_a_workflow_is_finished_though_the_owner_is_killed_in_the_middle(tmp_path: Path) -> None:
    sample = ROOT / "agent_orchestration" / "examples" / "album.json"
    with server(tmp_path) as (owner, _), server(tmp_path):
        words = ["run", str(sample), "--speed", "5", "--data", "data", "--json"]
        with started(tmp_path, *words, stderr=subprocess.PIPE) as workflow:
            asyncio.run(a_task_is_completed(tmp_path, workflow))
            owner.kill()
            assert workflow.poll() is None
            _, errors = workflow.communicate(timeout=PATIENCE)
            assert workflow.returncode == 0, errors
        counts = answer(tmp_path, "query", "--name", "tasks_by_status", "--data", "data")["rows"]
        assert [row["status"] for row in counts] == ["completed"]


# --- limits --------------------------------------------------------------------------------------


async def test_an_owner_that_never_answers_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "SEARCH_SECONDS", 0.2)
    silent = DataFolder(tmp_path / "data")
    silent.try_own()
    with pytest.raises(Unavailable, match="another process owns"):
        async with dispatcher(tmp_path):
            pass
    silent.announce("http://127.0.0.1:9", "nobody listens here")
    async with dispatcher(tmp_path) as second:
        with pytest.raises(Unavailable) as caught:
            await create(second, "x")
        assert caught.value.code == "owner_unreachable"
    silent.release()


async def test_another_program_at_the_owners_address_counts_as_gone(tmp_path: Path) -> None:
    """After a crash the port may belong to anybody, even to the owner of another folder."""

    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    other = await asyncio.start_server(strange, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    urls = [f"http://127.0.0.1:{port}"]
    async with other, dispatcher(tmp_path) as owner:
        await owner.status()
        folder = DataFolder(tmp_path / "data")
        await asyncio.to_thread(wait_for, lambda: folder.owner() is not None, "the owner's file")
        urls += [said.url for said in [folder.owner()] if said]
        for url in urls:
            remote = RemoteDispatcher(url, "a wrong token", REGISTRY, 5)
            with pytest.raises(OwnerGone):
                await remote.call("get_overview", {}, LOCAL)
            await remote.close()


async def test_a_failed_start_leaves_the_folder_free(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.sqlite").write_bytes(b"this is no database, whatever it says" * 99)
    with pytest.raises(Corrupt):
        async with dispatcher(tmp_path):
            pass
    folder = DataFolder(tmp_path / "data")
    assert folder.try_own()
    folder.release()


def test_the_owner_file_of_a_dead_process_is_ignored(tmp_path: Path) -> None:
    with server(tmp_path) as (owner, _):
        owner.kill()
        owner.wait()
    assert owner_pid(tmp_path) == owner.pid
    answer(tmp_path, "call", "create_task", "title=x", "--data", "data")
    assert owner_pid(tmp_path) == 0
