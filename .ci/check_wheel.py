"""Check that the wheel in a folder holds every file of the package, and that it runs alone.

Usage: check_wheel.py DIST
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

PACKAGE = "agent_orchestration"
#: Where the wheel has what stands beside the package.
MOVED = {
    "schema/migrations": f"{PACKAGE}/schema/migrations",
    "helm/agent-orchestration/monitoring/slo.yaml": f"{PACKAGE}/slo.yaml",
}


def missing(wheel: Path) -> list[str]:
    """The files of the package, as git sees them, that the wheel lacks."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", PACKAGE, *MOVED],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = [_packed_as(name) for name in listed if Path(name).is_file()]
    return sorted(name for name in wanted if name not in packed)


def _packed_as(name: str) -> str:
    for beside, inside in MOVED.items():
        if name.startswith(beside):
            return inside + name.removeprefix(beside)
    return name


def version(wheel: Path) -> str:
    """What the program says when only the wheel and its dependencies are installed."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder) / "bin" / "python"
        uv = Path(sys.executable).parent / "uv"
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", python, wheel.resolve()], check=True
        )
        program = Path(folder) / "bin" / "agent-orchestration"
        answer = subprocess.run(
            [program, "--version"], check=True, capture_output=True, text=True, cwd=folder
        )
        return answer.stdout.strip()


def main() -> int:
    """Exit code 0 when the wheel is complete and runs."""
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    if lacking := missing(wheel):
        print(f"{wheel.name} lacks:", *lacking, sep="\n  ")
        return 1
    print(f"{wheel.name} is complete; installed alone it says: {version(wheel)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
