"""Clocks of processes that jump when a test says so: Debian's libfaketime, from the system or taken
out of its package into the folder for downloads."""

from collections.abc import Mapping
from pathlib import Path

from tests.services.debian import unpacked

PACKAGE = "libfaketime"
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"


def library() -> Path:
    """The library, fetched when it is not there. Raises `NotHere`."""
    if found := next(Path("/").glob(_LIBRARY), None):
        return found
    return next(unpacked(PACKAGE).glob(_LIBRARY))


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
