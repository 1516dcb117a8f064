"""Run the build stage of the images without a container engine: its COPY and RUN lines, in order,
in a temporary folder that has only what `.dockerignore` lets through.

Shows that the images get all files that they need, and that what is installed runs alone.
`python -m tests.deploy.build_stage`
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.deploy.files import IMAGES, ROOT, admitted, stages

INSTALLED = "UV_PROJECT_ENVIRONMENT"
#: Downloads are kept between runs here; an image has no use for them.
HERE_ONLY = {"UV_NO_CACHE"}


def build(folder: Path) -> Path:
    """Do what the stage says; the environment that it installs into."""
    work, tools, installed = folder / "work", folder / "tools", folder / "installed"
    work.mkdir()
    variables = {**os.environ, "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for name, rest in stages(IMAGES[0])["build"]:
        if name == "FROM":
            _require_python(rest)
            venv.create(tools, with_pip=True)
        elif name == "ENV":
            pairs = (pair.split("=", 1) for pair in shlex.split(rest))
            variables |= {key: value for key, value in pairs if key not in HERE_ONLY}
            variables[INSTALLED] = str(installed)
        elif name == "COPY":
            _copy(rest, work)
        elif name == "RUN":
            _run(["sh", "-c", rest], work, variables)
        else:
            assert name == "WORKDIR", f"{name}: this check does not know it"
    return installed


def _require_python(image: str) -> None:
    wanted = re.match(r"python:(\d+\.\d+)-", image)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert wanted, f"FROM {image}: is not Python's image with a version"
    assert wanted[1] == here, f"FROM {image}: the tests run on Python {here}"


def _copy(arguments: str, work: Path) -> None:
    *sources, target = shlex.split(arguments)
    for source in sources:
        assert source in admitted(), f"COPY {source}: .dockerignore keeps it out"
        (work / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, work / target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, work / target)


def _run(command: list[str | Path], folder: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")


def main() -> None:
    """Ends with exit code 1 where the stage cannot be built, or its program does not run alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installed = build(folder)
        shutil.rmtree(folder / "work")
        program = installed / "bin" / "agent-orchestration"
        for words in ("--version", "topology"):
            _run([program, words], folder, {})
        size = sum(path.stat().st_size for path in installed.rglob("*") if path.is_file())
    sys.stdout.write(f"  what it installs runs alone and has {size / 1e6:.0f} MB\n")


if __name__ == "__main__":
    main()
