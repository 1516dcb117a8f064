"""A container without a container engine: a process with namespaces of its own for files, processes
and its host's name, a root in which there is nothing but an image and volumes, and no more rights
than it is given.

What an engine does beside it is missing: limits by cgroups, the filter of system calls, a network
of its own. All containers share the loopback of this machine. Needs Linux, util-linux and root.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.e2e.program import PATIENCE, wait_for
from tests.services.jars import NotHere
from tests.services.run import needed

#: What an image has from its base; a link stays one.
SYSTEM = ("bin", "etc", "lib", "lib64", "sbin", "usr")
DEVICES = ("full", "null", "random", "urandom", "zero")
NAMESPACES = ("--mount", "--pid", "--uts")


class Volume(NamedTuple):
    """A file or folder of this machine that a container sees somewhere else."""

    source: Path
    read_only: bool = False


class Rights(NamedTuple):
    """Who the process is, in which groups beside its own, and the options of `setpriv` that take
    from it what it could do beyond that."""

    user: int
    group: int
    groups: tuple[int, ...]
    options: tuple[str, ...]
    read_only_root: bool

    def words(self) -> list[str]:
        """The command that makes a process so."""
        groups = ",".join(map(str, self.groups))
        who = (f"--reuid={self.user}", f"--regid={self.group}", f"--groups={groups}")
        return ["setpriv", *who, *self.options, "--pdeathsig=KILL", "--"]


def require_containers() -> None:
    """Skips the test where this machine has none like these; in CI that is a failure."""
    with needed("containers"):
        try:
            command = ["unshare", *NAMESPACES, "--fork", "true"]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotHere(f"unshare: {error}") from error


class Container:
    """`command` as the first process of a container that is called `name`, in the folder `work`,
    with nothing but these variables. `volumes` are by the path at which they are seen. What it says
    is in `folder`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        work: str,
        variables: Mapping[str, str],
        volumes: Mapping[str, Volume],
        rights: Rights,
    ) -> None:
        self.name = name
        self.said = folder / f"{name}.txt"
        self._command = command
        self._root = folder / name
        self._root.mkdir()
        self._work = work
        self._variables = {**variables, "HOSTNAME": name}
        self._volumes = volumes
        self._rights = rights
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and don't wait for anything."""
        script = "\n".join(["set -eu", "umask 022", *self._steps()])
        words = [*self._rights.words(), *self._command]
        with self.said.open("wb") as said:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    *NAMESPACES,
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-c",
                    script,
                    "sh",
                    *words,
                ],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def run(self) -> str:
        """Run it to its end; what it said. It must succeed."""
        self.start()
        assert self._process is not None
        try:
            code = self._process.wait(PATIENCE)
        finally:
            self.kill()
        said = self.said.read_text("utf-8")
        assert code == 0, f"{self.name} ended with {code}:\n{said}"
        return said

    @property
    def pid(self) -> int:
        """Of its first process, as this machine sees it."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children")
        wait_for(lambda: bool(children.read_text()) or not self.alive, f"{self.name} to start")
        assert self.alive, f"{self.name} ended:\n{self.said.read_text('utf-8')}"
        return int(children.read_text())

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def execute(
        self, command: Sequence[str], *, stdin: str = "", seconds: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run another command in it, with its variables and rights, to its end. Raises
        `subprocess.TimeoutExpired`."""
        entered = ["nsenter", f"--target={self.pid}", *NAMESPACES, "--root", "--wd"]
        return subprocess.run(
            [*entered, *self._rights.words(), *command],
            env=self._variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def terminate(self, seconds: float) -> int:
        """Send it SIGTERM; its exit code, once it has ended. Raises `subprocess.TimeoutExpired`."""
        assert self._process is not None
        os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it at once: its first process dies with who made it, and the others with that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _steps(self) -> list[str]:
        """How the first process comes into its root. Nobody else sees any of it."""
        root = shlex.quote(str(self._root))
        steps = [
            f"echo {self.name} >/proc/sys/kernel/hostname",
            f"mount -t tmpfs -o mode=755 tmpfs {root}",
            f"mkdir -p {root}/proc {root}{self._work}",
            f"mount -t proc proc {root}/proc",
        ]
        links = (part for part in SYSTEM if Path("/", part).is_symlink())
        steps += (f"cp -P /{part} {root}/{part}" for part in links)
        for target, volume in sorted((self._base() | dict(self._volumes)).items()):
            steps += _mount(volume, f"{self._root}{target}")
        if self._rights.read_only_root:
            steps.append(f"mount -o remount,ro {root}")
        return [*steps, f'exec unshare --root={root} --wd={self._work} "$@"']

    def _base(self) -> dict[str, Volume]:
        """What is there whatever the image is. Python is where the tree was made with it."""
        paths = [*(f"/{one}" for one in SYSTEM), *(f"/dev/{one}" for one in DEVICES)]
        found = {one: Volume(Path(one), True) for one in paths if not Path(one).is_symlink()}
        if not sys.base_prefix.startswith("/usr"):
            found[sys.base_prefix] = Volume(Path(sys.base_prefix), True)
        return {path: volume for path, volume in found.items() if volume.source.exists()}


def _mount(volume: Volume, target: str) -> list[str]:
    place, source = shlex.quote(target), shlex.quote(str(volume.source))
    make = f"mkdir -p {place}"
    if not volume.source.is_dir():
        make = f"mkdir -p {shlex.quote(str(Path(target).parent))} && touch {place}"
    options = "bind,ro" if volume.read_only else "bind"
    return [f"[ -e {place} ] || {{ {make}; }}", f"mount -o {options} {source} {place}"]
