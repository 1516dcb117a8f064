"""Tasks carried out by real child processes: their output, their failures, and their end."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.config import child_environment
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.core.operations import Operation
from agent_orchestration.workers.allowed import AllowedPrograms, PlanGrants
from agent_orchestration.workers.children_file import Children
from agent_orchestration.workers.command_agent import CommandAgent
from agent_orchestration.workers.processes import Family, started_at, survivors
from agent_orchestration.workers.worker import Worker
from tests.e2e.program import ROOT, wait_for
from tests.integration.command_world import CommandWorld, pid_in, runs
from tests.integration.world import World
from tests.unit.platform_double import DoubleTask
from tests.unit.test_worker import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

#: Ignores SIGTERM, and so does a grandchild, and one that has left the group.
STUBBORN = """
trap 'touch asked' TERM
sh -c 'echo $$ > group.pid; trap "" TERM; while :; do sleep 1; done' &
setsid sh -c 'echo $$ > left.pid; trap "" TERM; while :; do sleep 1; done' &
echo $$ > leader.pid
while :; do sleep 1; done
"""
PIDS = ("leader.pid", "group.pid", "left.pid")


def error_of(task: DoubleTask) -> dict[str, Any]:
    assert task.error is not None, task
    return task.error


def stubborn(world: CommandWorld, folder: Path, **more: Any) -> DoubleTask:
    """A task with the stubborn command, which runs in `folder`."""
    folder.mkdir()
    return world.add("stubborn", {"command": STUBBORN, "cwd": str(folder), **more})


async def pids_of(folder: Path) -> list[int]:
    """The pids of the stubborn command, once all of it is there."""
    await until(lambda: all(pid_in(folder / name) for name in PIDS), "all processes run")
    pids = [pid_in(folder / name) for name in PIDS]
    assert all(runs(pid) for pid in pids)
    return pids


async def test_a_command_s_end_and_output_are_the_result(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        task = await world.did(["sh", "-c", "echo to out; echo to err >&2; pwd"])
        text = await world.did("read line; echo $line | tr a-z A-Z", stdin="hello\nthere\n")
        empty = await world.did(["cat"])
    folder = task.result["output_tail"].splitlines()[2]
    assert task.result.pop("seconds") < 5
    assert task.result == {
        "exit_code": 0,
        "output_tail": f"to out\nto err\n{folder}",
        "truncated": False,
    }
    assert Path(folder).is_relative_to(world.root)
    assert text.result["output_tail"] == "HELLO"
    assert empty.result["output_tail"] == ""
    assert world.records() == []


async def test_a_large_input_is_read_to_its_end_or_left(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        counted = await world.did(["wc", "-c"], stdin="x" * 5_000_000)
        left = await world.did(["true"], stdin="x" * 5_000_000)
    assert counted.result["output_tail"] == "5000000"
    assert left.result["exit_code"] == 0


async def test_a_gigabyte_of_output_takes_little_memory_and_time(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    async with world.working():
        task = await world.did("head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert task.result["output_tail"].endswith("xx\nthe end")
    assert task.result["truncated"] is True
    assert len(task.result["output_tail"]) < 70_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    assert time.monotonic() - began < 30


async def test_output_is_shown_as_progress_while_the_command_runs(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    task = world.add("t", {"command": "echo begun; mkfifo wait; echo $PWD; read line < wait"})
    async with world.working():
        await until(lambda: task.progress is not None, "progress")
        text, folder = task.progress["output_tail"].split("\n")
        assert text == "begun"
        assert task.progress["output_bytes"] == len(f"begun\n{folder}\n")
        with await asyncio.to_thread(Path(folder, "wait").open, "w") as pipe:
            pipe.write("go\n")
        await world.settled(task)
    assert task.status == "completed"


@pytest.mark.parametrize(
    ("command", "error_type", "message"),
    [
        ("echo almost; echo no >&2; exit 3", "exit_code", "sh exited with 3 after"),
        ("kill -SEGV $$", "exit_code", "sh was killed by SIGSEGV after"),
        ("exit 127", "exit_code", "sh exited with 127"),
    ],
)
async def test_a_command_that_fails_fails_the_attempt_with_its_last_lines(
    tmp_path: Path, command: str, error_type: str, message: str
) -> None:
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        task = await world.did(command)
    told = error_of(task)
    assert (told["error_type"], told["retryable"]) == (error_type, True)
    assert message in told["error"]
    if "echo" in command:
        assert told["error"].endswith("almost\nno")
        assert task.progress["exit_code"] == 3
        assert task.progress["output_tail"] == "almost\nno"


@pytest.mark.parametrize(
    ("payload", "error_type", "message"),
    [
        ({"command": ["no-such-program", "x"]}, "command_not_found", "no such program"),
        ({"command": ["./missing"]}, "command_not_found", "no such program"),
        ({"command": ["/etc/passwd"]}, "not_executable", "chmod"),
        ({"command": ["/etc"]}, "not_executable", "chmod"),
        ({"command": ["ls"], "cwd": "/no/such/folder"}, "bad_folder", "make it first"),
        ({"command": ["ls"], "cwd": "a/../../b"}, "bad_folder", "remove .."),
        ({"command": []}, "bad_command", "command"),
        ({"order": 7}, "bad_command", "command"),
        (None, "bad_command", "command"),
        ({"command": ["echo", "x" * 5_000_000]}, "cannot_start", "too long"),
        ({"command": "echo '{' > $AO_RESULT"}, "bad_result", "not JSON"),
        ({"command": "rm -f $AO_RESULT; mkfifo $AO_RESULT"}, "bad_result", "not a file"),
    ],
)
async def test_what_can_never_succeed_fails_for_good(
    tmp_path: Path, payload: Any, error_type: str, message: str
) -> None:
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        task = world.add("t", payload)
        await world.platform.nudge()
        await world.settled(task)
    told = error_of(task)
    assert (told["error_type"], told["retryable"]) == (error_type, False)
    assert message in told["error"]
    assert task.status == "failed"


async def test_only_what_is_allowed_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    world = CommandWorld(tmp_path / "root", allow=AllowedPrograms(["touch"], os.defpath))
    async with world.working():
        refused = await world.did(f"touch {trace}")
        assert not trace.exists()
        allowed = await world.did(["touch", str(trace)])
    assert error_of(refused)["error_type"] == "not_allowed"
    assert "plan files" in error_of(refused)["error"]
    assert refused.status == "failed"
    assert allowed.status == "completed"
    assert trace.exists()


async def test_a_granted_command_of_a_plan_runs_in_the_folder_it_names(tmp_path: Path) -> None:
    grants = PlanGrants(tmp_path / "root" / "grants")
    payload = {"command": "pwd", "cwd": str(tmp_path)}
    grants.register("plan", {"t0": payload})
    world = CommandWorld(tmp_path / "root", allow=grants)
    async with world.working():
        granted = await world.did(**payload)
        copied = await world.did(**payload)  # the same command, in somebody else's task
    assert granted.result["output_tail"] == str(tmp_path)
    assert error_of(copied)["error_type"] == "not_allowed"


async def test_secrets_are_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("NEO4J_PASSWORD", "hunter2")
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        task = await world.did(["env"], env={"OWN": "value"})
    seen = dict(line.split("=", 1) for line in task.result["output_tail"].splitlines())
    assert "hunter2" not in task.result["output_tail"]
    assert seen["OWN"] == "value"
    assert seen["AO_TASK_ID"] == "t0"
    assert seen["AO_ATTEMPT"] == "1"
    inherited = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
    given = {"OWN", "AO_TASK_ID", "AO_ATTEMPT", "AO_DEPENDENCIES", "AO_RESULT", "AO_CHILD"}
    extra = set(seen) - inherited - given - {"PWD", "OLDPWD", "SHLVL", "_", "TMP", "TEMP"}
    assert {name for name in extra if not name.startswith("LC_")} == set()


async def test_results_are_handed_from_task_to_task(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    world.platform.blobs["large"] = b'{"rows": 1}'
    results: dict[str, Any] = {"a": {"rows": 3}, "b": {"$blob": "large", "bytes": 11}, "c": None}
    for name, result in results.items():
        done = world.add(name, None)
        done.status, done.result = "completed", result
    script = 'cat "$AO_DEPENDENCIES" > "$AO_RESULT"'
    task = world.add("t", {"command": script}, list(results))
    async with world.working():
        await world.settled(task)
        alone = await world.did(script)
    assert task.result["result"] == {"a": {"rows": 3}, "b": {"rows": 1}, "c": None}
    assert alone.result["result"] == {}


async def test_an_attempt_leaves_nothing_but_what_its_command_made(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    async with world.working():
        await world.did(["true"])
        await world.did(["false"])
        assert list((world.root / "tasks").iterdir()) == []
        await world.did("echo kept > report.txt", cwd="inner")
    files = [file for file in (world.root / "tasks").rglob("*") if file.is_file()]
    assert [file.name for file in files] == ["report.txt"]


async def test_what_ignores_the_signal_is_killed_after_the_time_is_over(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root", grace=0.2)
    task = stubborn(world, tmp_path / "here", timeout_seconds=2)
    async with world.working():
        pids = await pids_of(tmp_path / "here")
        await world.settled(task)
        assert not any(runs(pid) for pid in pids)
    told = error_of(task)
    assert (told["error_type"], told["retryable"]) == ("timeout", True)
    assert "did not end within 2 s" in told["error"]
    assert world.records() == []


async def test_a_command_may_end_in_its_own_way_when_asked(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    script = "trap 'echo tidied up; exit 0' TERM; while :; do sleep 0.05; done"
    async with world.working():
        task = await world.did(script, timeout_seconds=0.3)
    assert error_of(task)["error_type"] == "timeout"
    assert error_of(task)["error"].endswith("tidied up")


@pytest.mark.parametrize("status", ["cancelled", "ready"])
async def test_a_task_that_is_taken_away_takes_its_processes_along(
    tmp_path: Path, status: str
) -> None:
    world = CommandWorld(tmp_path / "root", grace=0.1)
    task = stubborn(world, tmp_path / "here")
    async with world.working():
        pids = await pids_of(tmp_path / "here")
        task.requires, task.status = {"somebody else"}, status
        await until(lambda: not world.worker.held, "the task is let go")
        assert not any(runs(pid) for pid in pids)
    assert world.changes[-1] == ("stubborn", "cancel" if status == "cancelled" else "fenced")
    assert task.error is None
    assert world.records() == []


async def test_a_stopped_worker_leaves_no_process(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root", grace=0.1)
    task = stubborn(world, tmp_path / "here")
    async with world.working():
        pids = await pids_of(tmp_path / "here")
    assert not any(runs(pid) for pid in pids)
    assert error_of(task)["error_type"] == "worker_stopped"


async def test_a_cancelled_worker_has_no_time_for_grace(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root", grace=60)
    stubborn(world, tmp_path / "here")
    running = asyncio.create_task(world.worker.run())
    pids = await pids_of(tmp_path / "here")
    running.cancel()
    await until((tmp_path / "here" / "asked").exists, "the command is asked to end")
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:  # what the end of the event loop does
        one.cancel()
    await asyncio.wait(others)
    await until(lambda: not any(runs(pid) for pid in pids), "all are gone")


@pytest.mark.parametrize("left", ["sleep 1000 &", "setsid sleep 1000 > /dev/null 2>&1 &"])
async def test_what_a_command_leaves_in_the_background_ends_with_it(
    tmp_path: Path, left: str
) -> None:
    world = CommandWorld(tmp_path / "root", grace=0.1)
    async with world.working():
        task = await world.did(f"{left} echo $!")
    assert task.status == "completed"
    assert not runs(int(task.result["output_tail"]))


async def test_many_commands_run_side_by_side(tmp_path: Path) -> None:
    world = CommandWorld(tmp_path / "root")
    tasks = [world.add(f"t{n}", {"command": ["echo", str(n)]}) for n in range(40)]
    async with world.working():
        await until(lambda: len(world.platform.completed) == len(tasks), "all of them")
    assert [task.result["output_tail"] for task in tasks] == [str(n) for n in range(40)]


def killed_worker(folder: Path) -> list[int]:
    """A worker that was killed in the middle of the stubborn command; the command's pids."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    module = [sys.executable, "-m", "tests.integration.command_world"]
    with subprocess.Popen([*module, str(root), STUBBORN], cwd=ROOT) as worker:
        try:
            wait_for(lambda: all(pid_in(root / name) for name in PIDS), "all processes run")
        finally:
            worker.send_signal(signal.SIGKILL)
    pids = [pid_in(root / name) for name in PIDS]
    assert all(runs(pid) for pid in pids)
    return pids


@pytest.mark.process
def test_the_next_worker_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    pids = killed_worker(tmp_path)
    agent = CommandAgent(tmp_path / "root", lambda _id, _command: True, environment={})
    assert not any(runs(pid) for pid in pids)
    assert [(one.task_id, one.attempt) for one in agent.ended] == [("t0", 1)]
    assert list((tmp_path / "root" / "children").iterdir()) == []


@pytest.mark.process
async def test_a_worker_that_is_there_already_ends_it_before_its_next_command(
    tmp_path: Path,
) -> None:
    world = CommandWorld(tmp_path / "root")
    pids = await asyncio.to_thread(killed_worker, tmp_path)
    async with world.working():
        await world.did(["true"])
    assert not any(runs(pid) for pid in pids)
    assert world.records() == []


def test_records_of_living_workers_and_of_other_processes_are_left_alone(tmp_path: Path) -> None:
    children = Children(tmp_path)
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        family = Family(stranger.pid, started_at(stranger.pid), "token")
        children.record(family, "t", 1)
        assert children.end_orphans() == []
        [file] = tmp_path.iterdir()
        record = json.loads(file.read_text())
        # The worker is gone, and the pid has been given to another process since.
        record["worker_started"] = "long ago"
        record["family"]["started"] = "long ago"
        file.write_text(json.dumps(record))
        [orphan] = children.end_orphans()
        assert survivors(orphan.family) == []
        assert stranger.poll() is None
        assert list(tmp_path.iterdir()) == []
        stranger.kill()


def test_a_root_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Rejected, match="work root"):
        CommandAgent(tmp_path / "file", lambda _id, _command: True, environment={})


class Intermittent:
    """A `Dispatcher` on a platform that is not always there."""

    def __init__(self) -> None:
        self.registry = REGISTRY
        self.world: World | None = None

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        if self.world is None:
            raise Unavailable("stopped", "the platform is not running")
        return await self.world.platform.call(tool, arguments, caller)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        assert self.world is not None
        return await self.world.platform.read_blob(digest, caller)

    async def status(self) -> dict[str, Any]:
        return {"ready": self.world is not None, "role": "owner", "checks": {}}

    async def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        yield {"done": 0, "total": 0}


async def test_a_worker_goes_on_when_the_platform_comes_back(tmp_path: Path) -> None:
    door = Intermittent()
    agent = CommandAgent(
        tmp_path / "root", lambda _id, _command: True, environment=child_environment()
    )
    large = "import json, os; json.dump(['x' * 100_000], open(os.environ['AO_RESULT'], 'w'))"
    size = "wc -c < $AO_DEPENDENCIES"
    waits = "touch here; while [ ! -e go ]; do sleep 0.01; done"
    worker = Worker(door, "ann", agent, concurrency=2, heartbeat_seconds=0.2)
    async with World(tmp_path / "data") as door.world:
        await door.world.agent("ann", max_concurrency=2)
        running = asyncio.create_task(worker.run())
        await door.world.task("large", payload={"command": [sys.executable, "-c", large]})
        await door.world.task("size", depends_on=["large"], payload={"command": size})
        payload = {"command": waits, "cwd": str(tmp_path)}
        await door.world.task("waits", depends_on=["size"], payload=payload, lease_seconds=1)
        await until((tmp_path / "here").exists, "the last command runs")
    door.world = None
    (tmp_path / "go").touch()
    await until(lambda: worker.calls.repeated > 2, "asks for the platform")
    async with World(tmp_path / "data") as door.world:
        await until(lambda: not worker.held, "it is done")
        tasks = {
            name: (await door.world.call("get_task", task_id=name))["task"]
            for name in ("large", "size", "waits")
        }
        worker.drain()
        await running
    assert {task["status"] for task in tasks.values()} == {"completed"}
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert int(tasks["size"]["result"]["output_tail"]) > 100_000
