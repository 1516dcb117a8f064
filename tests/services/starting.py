"""Waiting for a server that was started as a process of its own."""

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def wait_until_it_answers(
    ask: Callable[[], object],
    processes: Iterable[subprocess.Popen[bytes]],
    output: Path,
    name: str,
    seconds: float,
) -> None:
    """Return once `ask` raises no `OSError`. Raises `RuntimeError` with the end of its output where
    one of its processes ended before, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask()
        except OSError as error:
            ended = any(one.poll() is not None for one in processes)
            if ended or time.monotonic() > deadline:
                said = output.read_text("utf-8")[-4000:]
                raise RuntimeError(f"{name} did not start:\n{said}") from error
            time.sleep(0.05)
        else:
            return
