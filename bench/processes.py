"""Programs under measurement, each in a process of its own with an environment of its own."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 1800.0


@contextlib.contextmanager
def folder() -> Generator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        yield Path(made)


@contextlib.contextmanager
def started(home: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """`python ARGUMENTS` running in the folder `home`; ended at the end."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=home,
        env=_environment(home),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON that a started program says of itself. Raises where it ends without a word."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended with {process.wait()} before it was ready")
    return json.loads(line)


def answer(home: Path, *arguments: str) -> str:
    """What `python ARGUMENTS` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env=_environment(home),
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout


def peak(home: Path, *arguments: str) -> int:
    """Bytes of memory that `python ARGUMENTS` has at most; it must succeed."""
    words = [sys.executable, *arguments]
    process = subprocess.Popen(words, cwd=home, env=_environment(home), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return used.ru_maxrss * 1024


def _environment(home: Path) -> dict[str, str]:
    """Ours without the platform's settings, with `home` for home and this source tree first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_ORCHESTRATION")}
    paths = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return kept | {"HOME": str(home), "PYTHONPATH": paths, "NO_COLOR": "1"}
