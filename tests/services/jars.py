"""Servers written in Java, from their published jars: Maven fetches them once, into a folder
outside the tree, and any fitting Java on the machine runs them."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from filelock import FileLock

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
FETCH_SECONDS = 600
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>{name}</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies>
</project>
"""
DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


class JarSet(NamedTuple):
    """What to fetch: `group:artifact:version` each, with all that they need.

    `digest` is `digest_of` the folder, so that what is run is what was looked at.
    """

    name: str
    coordinates: tuple[str, ...]
    digest: str


class NotHere(Exception):
    """This machine cannot run the server; the message says what is missing."""


def cache_folder() -> Path:
    """Where downloads are kept: `$CI_CACHE`, or the user's folder for caches."""
    if named := os.environ.get("CI_CACHE"):
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "agent-orchestration-ci"


def jars(wanted: JarSet) -> Path:
    """The folder with the jars, fetched when it is not there. Raises `NotHere`, and `ValueError`
    for jars that are not the ones looked at."""
    folder = cache_folder() / "jars" / f"{wanted.name}-{wanted.digest[:12]}"
    return made_once(folder, lambda made: _fetch(wanted, made))


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made when it is not there, by one process however many want it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            make(folder)
    return folder


def _fetch(wanted: JarSet, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotHere("Maven (mvn) is not installed")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = (DEPENDENCY.format(*map(escape, c.split(":"))) for c in wanted.coordinates)
        pom = Path(work) / "pom.xml"
        pom.write_text(POM.format(name=wanted.name, dependencies="".join(made)), "utf-8")
        found = Path(work) / "found"
        repository = cache_folder() / "maven"
        answer = subprocess.run(
            [
                *(maven, "--quiet", "--batch-mode", "--strict-checksums", "--file", pom),
                *(f"-Dmaven.repo.local={repository}", COPY, f"-DoutputDirectory={found}"),
            ],
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        if answer.returncode:
            raise NotHere(f"Maven could not fetch {wanted.name}: {answer.stdout[-500:].strip()}")
        if (digest := digest_of(found)) != wanted.digest:
            raise ValueError(f"{wanted.name}: the jars have the digest {digest}: look at them")
        found.rename(folder)


def digest_of(folder: Path) -> str:
    """SHA-256 (hex) over the names and contents of all files in a folder."""
    lines = (
        f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in sorted(folder.iterdir())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@functools.cache
def java(least: int) -> Path:
    """A Java of at least that version, the oldest of them. Raises `NotHere`."""
    fitting = {(v, path) for path in _programs() if (v := _version(path)) >= least}
    if not fitting:
        raise NotHere(f"Java {least} or newer is not installed")
    return min(fitting)[1]


def _programs() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found).resolve()
    yield from Path("/usr/lib/jvm").glob("*/bin/java")


def _version(program: Path) -> int:
    """The major version, or 0 where there is none."""
    release = program.parent.parent / "release"
    if not program.is_file() or not release.is_file():
        return 0
    found = re.search(r'JAVA_VERSION="(\d+)', release.read_text("utf-8"))
    return int(found[1]) if found else 0
