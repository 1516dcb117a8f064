"""One server of each kind for a test run, whichever of its processes asks first.

The process that pytest was started in holds a lock for as long as the run lasts. Each server
belongs to a keeper, a process of its own, which ends it when that lock is free: however the run
ended.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.services.jars import NotHere

#: Names the run's folder to all of its processes.
FOLDER = "AO_TEST_RUN"
ROOT = Path(__file__).parents[2]

Told = dict[str, Any]
_held: list[FileLock] = []
_keepers: list[subprocess.Popen[str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """In the process that pytest was started in: the run begins."""
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="ao-test-run-"))
        os.environ[FOLDER] = str(folder)
        _held.append(_taken(folder / "run.lock"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run ends: so do its servers."""
    if _held:
        folder = Path(os.environ.pop(FOLDER))
        _held.pop().release()
        for alive in folder.glob("*.alive"):
            _taken(alive).release()
        shutil.rmtree(folder)


def service(name: str) -> Told:
    """What the keeper `tests.services.<name>` tells of its server, started if it is not there; see
    `needed` for where it cannot be."""
    folder = Path(os.environ[FOLDER])
    told = folder / f"{name}.json"
    with FileLock(folder / f"{name}.lock"):
        if not told.exists():
            told.write_text(_start(name, folder), "utf-8")
    answer = json.loads(told.read_text("utf-8"))
    with needed(name):
        if reason := answer.get("not_here"):
            raise NotHere(reason)
    return answer


@contextmanager
def needed(name: str) -> Generator[None]:
    """Skips the test where this machine has not what it needs; in CI that is a failure."""
    try:
        yield
    except NotHere as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: {error}")


def turn(name: str) -> FileLock:
    """A lock for tests that must have a server to themselves, in whichever process they run.

    Grouping them into one process would hang on the way that pytest was called.
    """
    return FileLock(Path(os.environ[FOLDER]) / f"{name}.turn")


def _start(name: str, folder: Path) -> str:
    with (folder / f"{name}.errors").open("w+", encoding="utf-8") as errors:
        keeper = subprocess.Popen(
            [sys.executable, "-m", f"tests.services.{name}", folder],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        _keepers.append(keeper)
        assert keeper.stdout is not None
        with keeper.stdout:
            line = keeper.stdout.readline()
        if not line:
            errors.seek(0)
            raise RuntimeError(f"the keeper of {name} ended:\n{errors.read()[-4000:]}")
    return line


def keep(name: str, *ways: Callable[[Path], AbstractContextManager[Told]]) -> None:
    """The keeper's program: starts the server in the first of the ways that this machine has, in a
    folder below the one that the command line names, says so, and ends it after the run."""
    folder = Path(sys.argv[1])
    alive = _taken(folder / f"{name}.alive")
    with contextlib.ExitStack() as stack:
        try:
            told = _first(stack, folder / name, ways)
        except NotHere as error:
            told = {"not_here": str(error)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        _taken(folder / "run.lock").release()
    # Whoever started the run may have been killed: nobody else removes what takes much room.
    shutil.rmtree(folder / name, ignore_errors=True)
    alive.release()


def _first(
    stack: contextlib.ExitStack,
    folder: Path,
    ways: tuple[Callable[[Path], AbstractContextManager[Told]], ...],
) -> Told:
    reasons: list[str] = []
    for way in ways:
        try:
            return stack.enter_context(way(folder))
        except NotHere as error:
            reasons.append(str(error))
    raise NotHere("; ".join(reasons))


def _taken(path: Path) -> FileLock:
    lock = FileLock(path)
    lock.acquire(poll_interval=0.1)
    return lock
