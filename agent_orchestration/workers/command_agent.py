"""A handler that carries out tasks by running their commands as child processes."""

import asyncio
import errno
import os
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, NoReturn

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.workers.allowed import Allow
from agent_orchestration.workers.child import ChildCommand, Ended, run_child
from agent_orchestration.workers.children_file import ChildRecord, Children
from agent_orchestration.workers.command_payload import (
    CommandPayload,
    can_execute,
    find_program,
    parse_command,
)
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.output_tail import OutputTail
from agent_orchestration.workers.work_folder import AttemptFolder, private_folder

GRACE_SECONDS = 5.0
STREAM_SECONDS = 0.5
#: What of the output goes into progress and error messages; the result has more.
SHORT_LINES = 20
SHORT_BYTES = 4096


class CommandAgent:
    """The handler of `Worker` for commands; one may serve many workers.

    `root` is a folder for this user's workers: records of running commands and a folder for each
    attempt. `allow` says which commands may run. `environment` is what every command inherits; it
    must hold no secrets. `grace_seconds` lie between SIGTERM and SIGKILL.

    Made anew, and before each command, it ends what workers on `root` left behind that have died.
    Raises `Rejected` where `root` cannot be written to.

    A task fails with the error type `exit_code` (also when killed by a signal), `timeout`, or, for
    good, with `bad_command`, `bad_folder`, `not_allowed`, `command_not_found`, `not_executable`,
    `cannot_start`, `bad_result`. The result of one that succeeds:
    `{"exit_code": 0, "seconds", "output_tail", "truncated", "result"?}`.
    """

    def __init__(
        self,
        root: Path,
        allow: Allow,
        *,
        environment: Mapping[str, str],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._tasks = private_folder(root / "tasks")
        self._children = Children(root / "children")
        self._allow = allow
        self._environment = {"PATH": os.defpath, **environment}
        self._grace = grace_seconds
        self.ended: list[ChildRecord] = self._children.end_orphans()

    async def __call__(self, task: HeldTask) -> dict[str, Any]:
        """Carry the task out; raises `TaskError`."""
        command = self._allowed(task)
        folder = AttemptFolder(self._tasks, task.id, task.attempt)
        try:
            await asyncio.to_thread(self._children.end_orphans)
            await asyncio.to_thread(folder.make)
            await _hand_over(task, folder)
            return await self._run(task, command, folder)
        except OSError as error:
            problem = f"cannot start {command.program}: {error.strerror or error}"
            again = error.errno != errno.E2BIG
            raise TaskError(problem, error_type="cannot_start", retryable=again) from error
        finally:
            folder.tidy()

    def _allowed(self, task: HeldTask) -> CommandPayload:
        try:
            command = parse_command(task.payload)
        except Rejected as error:
            _refuse(error.code, error.reason)
        if not self._allow(task.id, command):
            _refuse(
                "not_allowed",
                f"{command.program} is not run here: agents of this kind run commands of plan"
                " files that their user started, and programs that were named with --allow (with"
                " plain arguments: no shell text, no variables, no folder outside)",
            )
        return command

    async def _run(
        self, task: HeldTask, command: CommandPayload, folder: AttemptFolder
    ) -> dict[str, Any]:
        started = self._prepared(task, command, folder)
        tail = OutputTail()
        began = time.monotonic()
        streaming = asyncio.create_task(_stream(task, tail, began))
        try:
            ended = await run_child(
                started,
                tail,
                record=lambda family: self._children.record(family, task.id, task.attempt),
                forget=self._children.forget,
            )
        finally:
            streaming.cancel()
            await asyncio.wait((streaming,))
        if ended.code != 0 or ended.timed_out:
            await _fail(task, command, ended, tail)
        text, truncated = tail.text()
        result = {
            "exit_code": 0,
            "seconds": round(ended.seconds, 3),
            "output_tail": text,
            "truncated": truncated,
        }
        try:
            written = await asyncio.to_thread(folder.read_result)
        except Rejected as error:
            _refuse(error.code, error.reason)
        return result if written is None else {**result, "result": written}

    def _prepared(
        self, task: HeldTask, command: CommandPayload, folder: AttemptFolder
    ) -> ChildCommand:
        work = _work_folder(command, folder)
        environment = {
            **self._environment,
            **command.env,
            "AO_TASK_ID": task.id,
            "AO_ATTEMPT": str(task.attempt),
            "AO_DEPENDENCIES": str(folder.dependencies),
            "AO_RESULT": str(folder.result),
        }
        program = find_program(command.program, work, environment["PATH"])
        if program is None:
            remedy = "install it, or correct the name or the variable PATH"
            _refuse("command_not_found", f"{command.program}: there is no such program; {remedy}")
        if not can_execute(program):
            _refuse("not_executable", f"{program} cannot be executed; use chmod +x")
        return ChildCommand(
            arguments=(str(program), *command.arguments),
            folder=work,
            environment=environment,
            stdin=None if command.stdin is None else command.stdin.encode(),
            timeout_seconds=command.timeout_seconds,
            grace_seconds=self._grace,
            token=secrets.token_hex(16),
        )


def _work_folder(command: CommandPayload, folder: AttemptFolder) -> Path:
    """Where the command runs: below its own folder, or in an existing one that it names."""
    named = PurePath(command.cwd)
    if not named.is_absolute():
        if ".." in named.parts:
            _refuse("bad_folder", f"cwd: {command.cwd} leads out of the task's folder; remove ..")
        inside = folder.work / named
        inside.mkdir(parents=True, exist_ok=True)
        return inside
    outside = Path(named)
    if not outside.is_dir() or not os.access(outside, os.X_OK):
        _refuse("bad_folder", f"cwd: {outside} is not a folder that can be entered; make it first")
    return outside


async def _hand_over(task: HeldTask, folder: AttemptFolder) -> None:
    """Write the results of the dependencies: {task id: result}."""
    lead = b"{"
    for task_id in task.dependencies:
        line = canonical(task_id) + b": " + canonical(await task.dependency_result(task_id))
        await asyncio.to_thread(folder.append_to_dependencies, lead + line)
        lead = b",\n"
    rest = b"{}\n" if lead == b"{" else b"}\n"
    await asyncio.to_thread(folder.append_to_dependencies, rest)


async def _stream(task: HeldTask, tail: OutputTail, began: float) -> None:
    """Report new output as progress until cancelled."""
    while True:
        await tail.grown.wait()
        tail.grown.clear()
        await task.progress(_shortly(tail, time.monotonic() - began))
        await asyncio.sleep(STREAM_SECONDS)


def _shortly(tail: OutputTail, seconds: float) -> dict[str, Any]:
    text, _ = tail.text(SHORT_LINES, SHORT_BYTES)
    return {"output_tail": text, "output_bytes": tail.total, "seconds": round(seconds, 3)}


async def _fail(
    task: HeldTask, command: CommandPayload, ended: Ended, tail: OutputTail
) -> NoReturn:
    """Report a command that did not succeed: what is known as progress, the last lines as error."""
    known = _shortly(tail, ended.seconds) | {"exit_code": ended.code}
    if ended.code < 0:
        known["signal"] = _signal_name(-ended.code)
    await task.progress(known)
    how = f"was killed by {known['signal']}" if ended.code < 0 else f"exited with {ended.code}"
    if ended.timed_out:
        how = f"did not end within {command.timeout_seconds:g} s and was stopped"
    text = f"{command.program} {how} after {ended.seconds:.1f} s\n{known['output_tail']}"
    raise TaskError(text.rstrip(), error_type="timeout" if ended.timed_out else "exit_code")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has a number only
        return f"signal {number}"


def _refuse(error_type: str, message: str) -> NoReturn:
    """Another attempt would meet the same."""
    raise TaskError(message, error_type=error_type, retryable=False)
