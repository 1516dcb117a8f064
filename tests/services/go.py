"""Programs written in Go, which Go builds once from what was published, into a folder outside the
tree. `python -m tests.services.go NAME …` does so, and says where they are.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.services.jars import NotHere, cache_folder, made_once

BUILD_SECONDS = 1800


class Program(NamedTuple):
    """A package with a program, the version of its module, and what its linker is told."""

    package: str
    version: str
    linked: str = ""


PROGRAMS = {
    "helm": Program(
        "helm.sh/helm/v3/cmd/helm",
        "v3.22.0",
        # As in published builds: the version of Kubernetes that it takes for granted.
        "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1"
        " -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36",
    ),
    "kube-score": Program("github.com/zegl/kube-score/cmd/kube-score", "v1.20.0"),
    "kubeconform": Program("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
    "toxiproxy": Program("github.com/Shopify/toxiproxy/v2/cmd/server", "v2.5.0"),
}


def built(name: str) -> Path:
    """One of `PROGRAMS`, built when it is not there; Go checks that it is what was published.
    Raises `NotHere`."""
    wanted = PROGRAMS[name]
    made_once(_folder(name), lambda made: _build(name, wanted, made))
    return _folder(name) / wanted.package.rpartition("/")[2]


def found(name: str) -> Path:
    """The same for tests, whose time is too short for building it. Raises `NotHere`."""
    if not _folder(name).is_dir():
        raise NotHere(f"`python -m tests.services.go {name}` builds it")
    return built(name)


def _folder(name: str) -> Path:
    return cache_folder() / name / PROGRAMS[name].version


def _build(name: str, wanted: Program, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = Path(work) / "made"
        answer = subprocess.run(
            [go(), "install", "-ldflags", wanted.linked, f"{wanted.package}@{wanted.version}"],
            cwd=work,
            env={**os.environ, "GOBIN": str(made)},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if answer.returncode:
            raise NotHere(f"Go could not build {name}: {answer.stderr[-500:].strip()}")
        made.rename(folder)


def go() -> str:
    """Go itself. Raises `NotHere`."""
    if (program := shutil.which("go")) is None:
        raise NotHere("Go (go) is not installed")
    return program


if __name__ == "__main__":
    for _name in sys.argv[1:]:
        sys.stdout.write(f"{built(_name)}\n")
