"""What the operating system knows of processes: when they started, which belong together, ending.

A command and whatever it starts are found in two ways: by their process group, and (on Linux) by a
token in their environment, which also finds those that left the group. On other POSIX systems only
the group is known. Windows ends process trees with `taskkill`; that is not covered by tests.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

#: The variable that marks a command and everything that it starts.
MARK_VARIABLE = "AO_CHILD"
_PROC = Path("/proc")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class Family(msgspec.Struct, frozen=True):
    """A command and what it started. `pid` is also its process group; `started` is the mark of
    its first process, see `started_at`."""

    pid: int
    started: str
    token: str


class _Process(msgspec.Struct, frozen=True):
    pid: int
    group: int
    alive: bool
    started: str


def started_at(pid: int) -> str:
    """A mark that no other process with that pid has; "" where there is no such process."""
    if sys.platform == "linux":
        found = _linux_process(pid)
    else:
        found = next((one for one in _listed() if one.pid == pid), None)
    return found.started if found is not None and found.alive else ""


def survivors(family: Family) -> list[int]:
    """The pids of the family that have not ended."""
    if sys.platform != "linux":
        members = [one for one in _listed() if one.group == family.pid and one.alive]
        return [one.pid for one in members] if _same_group(family, members) else []
    processes = _linux_processes()
    members = [one for one in processes if one.group == family.pid]
    pids = {one.pid for one in members} if _same_group(family, members) else set[int]()
    mark = f"{MARK_VARIABLE}={family.token}".encode()
    return sorted(pids | {one.pid for one in processes if _is_marked(one.pid, mark)})


def signal_all(family: Family, *, kill: bool) -> None:
    """Send SIGTERM, or SIGKILL, to what is left of the family."""
    if sys.platform == "win32":
        force = ["/F"] if kill else []
        subprocess.run(  # noqa: S603 (a fixed program and a number)
            ["taskkill", "/PID", str(family.pid), "/T", *force],  # noqa: S607
            capture_output=True,
            check=False,
        )
        return
    number = signal.SIGKILL if kill else signal.SIGTERM
    found = survivors(family)
    if not found:
        return
    # One call for the group: it reaches those, too, that are being forked at this moment.
    if any(_group_of(pid) == family.pid for pid in found):
        with contextlib.suppress(*_GONE):
            os.killpg(family.pid, number)
    for pid in found:
        if _group_of(pid) not in (family.pid, None):
            with contextlib.suppress(*_GONE):
                os.kill(pid, number)


def _same_group(family: Family, members: list[_Process]) -> bool:
    """Whether the group is the family's. A pid is not given away again while there is a group of
    that number, so only a leader with another start makes it somebody else's."""
    return all(one.started == family.started for one in members if one.pid == family.pid)


def _group_of(pid: int) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.getpgid(pid)
    except _GONE:
        return None


def _linux_processes() -> list[_Process]:
    pids = [int(name) for name in os.listdir(_PROC) if name.isdecimal()]  # noqa: PTH208 (faster)
    found = [one for pid in pids if (one := _linux_process(pid)) is not None]
    return [one for one in found if one.alive]


def _linux_process(pid: int) -> _Process | None:
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except _GONE:
        return None
    # pid (name) state parent group … start; the name may hold anything, even parentheses.
    fields = line[line.rindex(b")") + 2 :].split()
    return _Process(pid, int(fields[2]), fields[0] not in b"ZX", fields[19].decode())


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except _GONE:
        return False


def _listed() -> list[_Process]:
    """The processes as POSIX's `ps` lists them."""
    if sys.platform == "win32":
        return []
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat=,lstart="],  # noqa: S607 (where it is differs)
        capture_output=True,
        check=True,
        env={"LC_ALL": "C", "PATH": os.defpath},
        text=True,
    ).stdout
    rows = (line.split(None, 3) for line in listed.splitlines())
    return [
        _Process(int(pid), int(group), state[0] != "Z", start) for pid, group, state, start in rows
    ]
