"""Starting the program as other people do: as a process, with an environment of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import agent_orchestration
from agent_orchestration.config import CONFIG_VARIABLE, VARIABLES

ROOT = Path(agent_orchestration.__file__).parents[1]
PROGRAM = [sys.executable, "-m", "agent_orchestration"]
PATIENCE = 60.0


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without our settings and with another home folder."""
    ours = {*VARIABLES, CONFIG_VARIABLE}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    paths = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "HOME": str(home), "PYTHONPATH": paths, "NO_COLOR": "1", **(more or {})}


def run(
    folder: Path,
    *arguments: str,
    stdin: str | bytes = "",
    program: Sequence[str] = PROGRAM,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the program in `folder` to its end."""
    done = subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env=environment(folder, more),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def answer(folder: Path, *arguments: str, **more: Any) -> Any:
    """What a verb answers with --json; it must succeed."""
    done = run(folder, *arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def started(
    folder: Path,
    *arguments: str,
    more: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    **options: Any,
) -> Generator[subprocess.Popen[str]]:
    """The program running in `folder`; killed at the end if it has not ended by then."""
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=folder,
        env=environment(folder, more),
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def server(
    folder: Path, *arguments: str, more: Mapping[str, str] | None = None, **options: Any
) -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A ready `dev` on the data folder `folder/data`, and what it says of itself."""
    words = ["dev", "--json", "--port", "0", "--data", str(folder / "data"), *arguments]
    with started(folder, *words, more=more, **options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"ended with {process.wait()} before it was ready"
        yield process, json.loads(line)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
