"""One command as a child process: its start, its output, and the end of everything it started."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from agent_orchestration.workers.children_file import kill_family
from agent_orchestration.workers.output_tail import OutputTail
from agent_orchestration.workers.processes import (
    MARK_VARIABLE,
    Family,
    signal_all,
    started_at,
    survivors,
)

LOOK_SECONDS = 0.02
CLOSE_SECONDS = 5.0
#: The shell waits for a line before it becomes the program. It comes when the process has been
#: recorded; if the worker dies before, the end of the input comes instead and nothing is run.
_GATE = 'read -r _ || exit 125; exec "$@"'
_GATE_WITHOUT_INPUT = f"{_GATE} </dev/null"

logger = logging.getLogger(__name__)


class ChildCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. `token` marks its processes; `grace_seconds` lie between SIGTERM and
    SIGKILL."""

    arguments: Sequence[str]
    folder: Path
    environment: dict[str, str]
    stdin: bytes | None
    timeout_seconds: float | None
    grace_seconds: float
    token: str


class Ended(msgspec.Struct, frozen=True):
    """How a command ended. `code` is negative for a signal, as in `subprocess`."""

    code: int
    seconds: float
    timed_out: bool


async def run_child(
    command: ChildCommand,
    tail: OutputTail,
    *,
    record: Callable[[Family], None],
    forget: Callable[[Family], None],
) -> Ended:
    """Run the command to its end; nothing that it started is left afterwards.

    `record` is called before the program begins and `forget` when all of it is gone. Cancelled, it
    ends the command first: SIGTERM to all of its processes, SIGKILL after the grace. Raises
    `OSError` where it cannot be started.
    """
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    transport, protocol = await loop.subprocess_exec(
        lambda: _Output(tail),
        *_gated(command),
        cwd=command.folder,
        env={**command.environment, MARK_VARIABLE: command.token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **_OWN_GROUP,
    )
    pid = transport.get_pid()
    family = Family(pid, started_at(pid), command.token)
    timed_out = False
    try:
        record(family)
        _begin(transport, command)
        async with asyncio.timeout(command.timeout_seconds):
            await protocol.exited.wait()
    except TimeoutError:
        timed_out = True
    finally:
        try:
            if await _end(family, protocol, command.grace_seconds):
                forget(family)
            await protocol.read_to_end()
        finally:
            transport.close()
    code = transport.get_returncode()
    return Ended(-9 if code is None else code, time.monotonic() - began, timed_out)


def _gated(command: ChildCommand) -> list[str]:
    if sys.platform == "win32":
        return [*command.arguments]
    script = _GATE_WITHOUT_INPUT if command.stdin is None else _GATE
    return ["/bin/sh", "-c", script, "sh", *command.arguments]


if sys.platform == "win32":
    _OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_GROUP: dict[str, Any] = {"start_new_session": True}


def _begin(transport: asyncio.SubprocessTransport, command: ChildCommand) -> None:
    pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
    go = b"" if sys.platform == "win32" else b"\n"
    pipe.write(go + (command.stdin or b""))
    pipe.close()


class _Output(asyncio.SubprocessProtocol):
    """Output goes to the tail as it comes: nothing is queued, so any amount may come."""

    def __init__(self, tail: OutputTail) -> None:
        self.exited = asyncio.Event()
        self._tail = tail
        self._closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd  # both outputs come through one pipe
        self._tail.feed(data)

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # an output that breaks off has ended
        self._closed.set()

    async def read_to_end(self) -> None:
        """Return when all output was taken, or is held up by somebody who could not be ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._closed.wait()


async def _end(family: Family, protocol: _Output, grace: float) -> bool:
    """End what is left: ask, wait for the grace, kill. Answers whether nobody is left."""

    async def somebody_left() -> bool:
        return not protocol.exited.is_set() or bool(await asyncio.to_thread(survivors, family))

    try:
        if not await somebody_left():
            return True
        signal_all(family, kill=False)
        ends = time.monotonic() + grace
        # Nothing tells of the end of grandchildren.
        while time.monotonic() < ends and await somebody_left():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        signal_all(family, kill=True)
        if left := await asyncio.to_thread(kill_family, family):
            logger.error("processes %s cannot be ended", left)
            return False
        await protocol.exited.wait()
    except asyncio.CancelledError:  # no time for grace
        signal_all(family, kill=True)
        raise
    return True
