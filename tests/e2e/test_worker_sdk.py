"""Agents at work, wherever they reach the platform from: in its process, over HTTP, over MCP."""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.config import load_config
from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import BLOB_THRESHOLD
from agent_orchestration.remote import RemoteDispatcher
from agent_orchestration.workers import FunctionAgent, HeldTask, Host, ThreadTask, agent
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.found import agents_of
from agent_orchestration.workers.over_mcp import McpCalls
from tests.e2e.program import PATIENCE, PROGRAM, ROOT, answer, environment, run, started
from tests.e2e.server_process import checked_log, running
from tests.services.kafka import free_port

pytestmark = pytest.mark.process
DOORS = ("in process", "http", "mcp over http", "mcp over stdio")


@contextlib.asynccontextmanager
async def opened(door: str, folder: Path) -> AsyncGenerator[ToolCaller]:
    """The platform on `folder/data`, reached through that door."""
    async with contextlib.AsyncExitStack() as stack:
        if door == "in process":
            overrides = {"data": folder / "data"}
            platform = Platform(open_backends(load_config(None, overrides=overrides)))
            stack.push_async_callback(platform.stop)
            await platform.start()
            yield platform
        elif door == "mcp over stdio":
            words = [*PROGRAM[1:], "mcp", "--data", str(folder / "data"), "--tools", "all"]
            calls = McpCalls(
                lambda: StdioTransport(PROGRAM[0], words, env=environment(folder), cwd=str(folder))
            )
            stack.push_async_callback(calls.close)
            yield calls
        else:
            server = stack.enter_context(running(folder))
            if door == "http":
                remote = RemoteDispatcher(server.url, None, REGISTRY, PATIENCE)
            else:
                remote = McpCalls(lambda: StreamableHttpTransport(f"{server.url}/mcp"))
            stack.push_async_callback(remote.close)
            yield remote


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ToolCaller]:
    async with opened(request.param, tmp_path) as calls:
        yield calls


class Operator:
    """Somebody who creates tasks and looks at them."""

    def __init__(self, door: ToolCaller) -> None:
        self.call = PatientCalls(door, Caller())

    async def create(self, task_id: str, capability: str, payload: Any = None) -> None:
        requires = [{"capability": capability}]
        await self.call(
            "create_task", id=task_id, title=task_id, requires=requires, payload=payload
        )

    async def task(self, task_id: str) -> dict[str, Any]:
        return (await self.call("get_task", task_id=task_id))["task"]

    async def until(self, task_id: str, condition: Callable[[dict[str, Any]], bool]) -> Any:
        """The task once the condition holds; waits for what changes, not for time."""
        async with asyncio.timeout(PATIENCE):
            while not condition(task := await self.task(task_id)):
                await self.call("wait_for_tasks", ids=[task_id], seconds=0.2)
        return task


@contextlib.asynccontextmanager
async def hosting(door: ToolCaller, *agents: FunctionAgent[..., Any]) -> AsyncGenerator[Host]:
    """The agents at work until the end of the block."""
    host = Host(door, agents)
    await host.make_known()
    work = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        host.stop()
        await work


class Sum(pydantic.BaseModel):
    total: int
    text: str


class Slow:
    """An agent whose tasks end when they are told to, and that notes what becomes of them."""

    def __init__(self, lease_seconds: int = 1) -> None:
        self.go_on = asyncio.Event()
        self.begun: list[int] = []
        self.ended: list[tuple[int, str]] = []
        self.agent = agent(id="slow", capabilities=["wait"], lease_seconds=lease_seconds)(
            self._wait
        )

    async def _wait(self, task: HeldTask) -> str:
        self.begun.append(task.attempt)
        await task.progress({"attempt": task.attempt, "before": task.previous_progress})
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.append((task.attempt, task.verdict))
            raise
        return "waited"


async def test_typed_work_is_done(door: ToolCaller) -> None:
    @agent(capabilities={"add": 0.5}, concurrency=5)
    async def add(numbers: list[int], text: str = "") -> Sum:
        return Sum(total=sum(numbers), text=text)

    operator, large = Operator(door), "x" * (BLOB_THRESHOLD + 1)
    async with hosting(door, add):
        await operator.create("small", "add", {"numbers": ["1", 2]})
        await operator.create("large", "add", {"numbers": [], "text": large})
        await operator.create("wrong", "add", {"number": 1})
        small = await operator.until("small", lambda task: task["status"] == "completed")
        wrong = await operator.until("wrong", lambda task: task["status"] == "failed")
        await operator.until("large", lambda task: task["status"] == "completed")
        told = (await operator.call("get_agent", agent_id="add"))["agent"]
    assert small["result"] == {"total": 3, "text": ""}
    assert wrong["error_type"] == "invalid_input"
    assert "numbers: Field required" in wrong["error"]
    assert (told["kind"], told["max_concurrency"]) == ("function", 5)
    assert told["capabilities"] == [{"name": "add", "level": 0.5}]


async def test_what_a_task_produced_is_kept(door: ToolCaller) -> None:
    picture, large = bytes(range(256)), "ä" * BLOB_THRESHOLD

    @agent(capabilities=["draw"])
    async def draw(task: HeldTask) -> None:
        for _ in range(2):
            await task.artifact("plots/one.png", picture)
        await task.artifact("large.csv.gz", large)
        with pytest.raises(Rejected, match="choose another name"):
            await task.artifact("large.csv.gz", "other")
        with pytest.raises(Rejected, match="name: must be a name"):
            await task.artifact("../one.png", picture)

    @agent(capabilities=["count"])
    def count(task: ThreadTask) -> None:
        task.artifact("counts.json", {"a": 1})

    operator = Operator(door)
    async with hosting(door, draw, count):
        for task_id in ("draw", "count"):
            await operator.create(task_id, task_id)
            await operator.until(task_id, lambda task: task["status"] == "completed")
    listed = (await operator.call("list_artifacts"))["artifacts"]
    assert [(one["name"], one["media_type"], one["size"]) for one in listed] == [
        ("counts.json", "application/json", 7),
        ("large.csv.gz", "text/plain", len(large.encode())),
        ("plots/one.png", "image/png", 256),
    ]
    found = [
        await operator.call("get_artifact", task_id=one["task_id"], name=one["name"])
        for one in listed
    ]
    assert [one["artifact"] for one in found] == listed
    assert json.loads(found[0]["content"]) == {"a": 1}
    assert "content" not in found[1]
    assert (await operator.call.read_blob(listed[1]["sha256"])).decode() == large
    assert found[2]["encoding"] == "base64"
    assert base64.b64decode(found[2]["content"]) == picture


async def test_who_lost_a_task_stops_working_on_it(door: ToolCaller) -> None:
    operator, slow = Operator(door), Slow()
    async with hosting(door, slow.agent):
        await operator.create("t", "wait")
        await operator.until("t", lambda task: task.get("progress") is not None)
        # Somebody gives it back for the agent: the first attempt is over, the second begins.
        await operator.call(
            "fail_task",
            task_id="t",
            agent_id="slow",
            attempt=1,
            error="taken away",
            error_type="worker_stopped",
        )
        second = await operator.until(
            "t", lambda task: str(task.get("progress")).startswith("{'attempt': 2")
        )
        slow.go_on.set()
        await operator.until("t", lambda task: task["status"] == "completed")
    assert slow.ended == [(1, "fenced")]
    assert second["progress"] == {"attempt": 2, "before": {"attempt": 1, "before": None}}


async def test_a_cancelled_task_ends_its_function(door: ToolCaller) -> None:
    operator, slow = Operator(door), Slow()
    async with hosting(door, slow.agent):
        await operator.create("t", "wait")
        await operator.until("t", lambda task: task["status"] == "running")
        await operator.call("cancel_task", task_id="t")
        ends = asyncio.get_running_loop().time() + PATIENCE
        while not slow.ended:
            task = await operator.task("t")
            assert asyncio.get_running_loop().time() < ends, (task, slow.begun)
    assert slow.ended == [(1, "cancel")]


async def test_who_is_drained_finishes_what_is_held(door: ToolCaller) -> None:
    operator, slow = Operator(door), Slow()
    await operator.call("register_agent", id="slow", name="s", kind="function", capabilities=[])
    host = Host(door, [slow.agent])
    work = asyncio.create_task(host.run())
    await operator.create("t", "wait")
    await operator.until("t", lambda task: task["status"] == "running")
    host.drain()
    await operator.create("later", "wait")
    slow.go_on.set()
    await work
    assert (await operator.task("t"))["result"] == "waited"
    assert (await operator.task("later"))["status"] == "ready"


@pytest.mark.parametrize("over", ["http", "mcp over http"])
async def test_work_goes_on_when_the_server_is_back(over: str, tmp_path: Path) -> None:
    port = free_port()
    slow = Slow(lease_seconds=60)
    if over == "http":
        door = RemoteDispatcher(f"http://127.0.0.1:{port}", None, REGISTRY, PATIENCE)
    else:
        door = McpCalls(lambda: StreamableHttpTransport(f"http://127.0.0.1:{port}/mcp"))
    operator = Operator(door)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(door.close)
        with running(tmp_path, "--port", str(port)):
            await stack.enter_async_context(hosting(door, slow.agent))
            await operator.create("before", "wait")
            await operator.until("before", lambda task: task.get("progress") is not None)
        slow.go_on.set()  # what it says now nobody hears
        with running(tmp_path, "--port", str(port)):
            await operator.create("after", "wait")
            for name in ("before", "after"):
                task = await operator.until(name, lambda one: one["status"] == "completed")
                assert (task["attempt"], task["result"]) == (1, "waited")
            await stack.aclose()
    assert (slow.begun, slow.ended) == ([1, 1], [])
    checked_log(tmp_path)


async def test_the_agents_of_the_readme_and_of_the_examples(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8").partition("# my_agents.py\n")[2]
    (tmp_path / "my_agents.py").write_text(readme.partition("```")[0], "utf-8")
    for file in (tmp_path / "my_agents.py", ROOT / "examples" / "word_count.py"):
        (tmp_path / file.stem).mkdir()
        async with opened("in process", tmp_path / file.stem) as door:
            operator = Operator(door)
            async with hosting(door, *agents_of(str(file))):
                text = {"text": "to be or not to be", "most": 1}
                await operator.create("t", "text.count", text)
                task = await operator.until("t", lambda one: one["status"] == "completed")
        result = task["result"]
        assert result.get("most_used", result) in ({"to": 2}, {"be": 2})


MODULE = """
import asyncio
from agent_orchestration.workers import agent

@agent(capabilities=["wait"], concurrency=3)
async def waits(payload: float = 600.0) -> str:
    await asyncio.sleep(payload)
    return "waited"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize("over", ["http", "mcp"])
def test_sigterm_leaves_nothing_claimed(over: str, tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(MODULE, "utf-8")
    data = ("--data", str(tmp_path / "data"))
    with running(tmp_path) as server:
        door = ("--mcp", f"{server.url}/mcp") if over == "mcp" else data
        words = ("worker", "--module", "waiting", "--grace-seconds", "0", "--json", *door)
        with started(tmp_path, *words) as worker:
            assert worker.stdout is not None
            assert json.loads(worker.stdout.readline()) == {"agents": ["waits"]}
            for number in range(3):
                requires = 'requires=[{"capability":"wait"}]'
                task = (f"id=t{number}", "title=t", requires)
                answer(tmp_path, "call", "create_task", *task, *data)
            claimed = [json.loads(worker.stdout.readline())["change"] for _ in range(3)]
            worker.send_signal(signal.SIGTERM)
            told = [json.loads(line)["change"] for line in worker.stdout]
            assert worker.wait(PATIENCE) == 0
        found = answer(tmp_path, "call", "list_tasks", *data)["tasks"]
    assert (claimed, told) == (["claimed"] * 3, ["stopped"] * 3)
    assert [(task["status"], task.get("agent_id")) for task in found] == [("ready", None)] * 3
    checked_log(tmp_path)


def test_a_module_without_agents_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n", "utf-8")
    (tmp_path / "broken.py").write_text("1 / 0\n", "utf-8")
    (tmp_path / "waiting.py").write_text(MODULE, "utf-8")
    for words, said in (
        (("empty.py",), "has no agents; put @agent(capabilities=…) before a function"),
        (("broken.py",), "broken.py cannot be loaded: ZeroDivisionError: division by zero"),
        (("absent",), "there is no module absent"),
        (("waiting", "--agent", "other"), "--agent: waiting has no agent other; it has waits"),
    ):
        process = run_worker(tmp_path, *words)
        assert said in process
        assert "Traceback" not in process


def run_worker(folder: Path, *words: str) -> str:
    """What the verb says on standard error; it must be refused."""
    done = run(folder, "worker", "--module", *words)
    assert done.returncode == 3
    return done.stderr
