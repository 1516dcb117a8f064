"""What Debian publishes: taken out of its packages, once, into the folder for downloads, without
being installed. `python -m tests.services.debian PACKAGE …` does so, and says where they are.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.services.jars import NotHere, cache_folder, made_once

_SECONDS = 120


def unpacked(package: str) -> Path:
    """The folder with the files of a package, fetched when it is not there. Raises `NotHere`."""
    return made_once(cache_folder() / package, lambda folder: _fetch(package, folder))


def _fetch(package: str, folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotHere(f"{package} is not installed, and this is no Debian to fetch it from")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        for words in (["apt-get", "download", package], ["dpkg", "-x"]):
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
                raise NotHere(f"{package} cannot be fetched: {done.stderr[-300:].strip()}")
        (Path(work) / "found").rename(folder)


if __name__ == "__main__":
    # Before the tests, whose time is limited.
    for _package in sys.argv[1:]:
        sys.stdout.write(f"{unpacked(_package)}\n")
