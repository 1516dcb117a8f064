"""Clocks of processes that jump when a test says so: Debian's libfaketime, from the system or taken
out of its package into the folder for downloads."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.services.jars import NotHere, cache_folder, made_once

PACKAGE = "libfaketime"
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"
_SECONDS = 120


def library() -> Path:
    """The library, fetched when it is not there. Raises `NotHere`."""
    if found := next(Path("/").glob(_LIBRARY), None):
        return found
    return next(made_once(cache_folder() / PACKAGE, _fetch).glob(_LIBRARY))


def _fetch(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotHere(f"{PACKAGE} is not installed, and this is no Debian to fetch it from")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        for words in (["apt-get", "download", PACKAGE], ["dpkg", "-x"]):
            files = [*Path(work).glob("*.deb"), Path(work) / "found"] if words[0] == "dpkg" else []
            done = subprocess.run(
                [*words, *files],
                cwd=work,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            if done.returncode:
                raise NotHere(f"{PACKAGE} cannot be fetched: {done.stderr[-300:].strip()}")
        (Path(work) / "found").rename(folder)


class Clock:
    """The wall clock of the processes that are started with `variables`. Their monotonic clocks,
    which are to measure how long something takes, stay as they are."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.jump(0)
        self.variables: Mapping[str, str] = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """So far from the true time it is within a second."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n", "utf-8")
        written.replace(self.file)
