"""This machine: the program, the data folder, the port."""

import re
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from agent_orchestration.cli.doctor.check import Check
from agent_orchestration.core.errors import PlatformError

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.data_folder import Owner

DISTRIBUTION = "agent-orchestration"
_GIGABYTE = 1024**3
_SCARCE, _TOO_LITTLE = 1 * _GIGABYTE, _GIGABYTE // 10


def python() -> Check:
    """The interpreter."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", "ok", f"{version} at {sys.executable}")


def packages() -> Iterator[Check]:
    """What the program needs, and what of it is missing."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Check(
            "packages", "warn", f"{DISTRIBUTION} runs from source", f"pip install {DISTRIBUTION}"
        )
        return
    found: list[str] = []
    for line in required:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match is None or "extra ==" in line:
            continue
        try:
            found.append(f"{match[0]} {metadata.version(match[0])}")
        except metadata.PackageNotFoundError:
            yield Check("packages", "fail", f"{match[0]} is missing", f"pip install {DISTRIBUTION}")
    yield Check("packages", "ok", f"{DISTRIBUTION} {version}; {', '.join(found)}")


def folder(path: Path) -> Check:
    """Whether the data folder can be used, and by whom."""
    name = "data folder"
    if not path.exists():
        return Check(name, "ok", f"{path} does not exist yet; it is made on first use")
    if not path.is_dir():
        return Check(name, "fail", f"{path} is not a folder", "choose another with --data")
    probe = path / ".doctor"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remedy = "make it writable or choose another with --data"
        return Check(name, "fail", f"{path} cannot be written to: {error.strerror}", remedy)
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        remedy = f'chmod 700 "{path}" if nobody else should'
        return Check(name, "warn", f"{path} can be read by other users", remedy)
    return Check(name, "ok", str(path))


def disk(path: Path) -> Check:
    """Whether there is room where the data folder is."""
    existing = next(one for one in (path, *path.parents) if one.exists())
    free = shutil.disk_usage(existing).free
    state = "fail" if free < _TOO_LITTLE else "warn" if free < _SCARCE else "ok"
    remedy = "" if state == "ok" else "free some, or choose another disk with --data"
    return Check("disk space", state, f"{free / _GIGABYTE:.1f} GB free", remedy)


def owner(path: Path) -> tuple["Owner | None", Check]:
    """The process that owns the data folder, if there is one, and what was found."""
    from agent_orchestration.data_folder import DataFolder  # noqa: PLC0415 (start-up time)

    owned = DataFolder(path)
    if not path.exists():
        return None, Check("owner", "ok", "nobody")
    try:
        free = owned.try_own()
    except PlatformError as error:
        return None, Check("owner", "fail", error.reason)
    owned.release()
    found = None if free else owned.owner()
    if free:
        return None, Check("owner", "ok", "nobody; the next verb owns the folder")
    if found is None:
        remedy = "if it stays so, end that process"
        return None, Check("owner", "warn", "a process that others cannot join yet", remedy)
    return found, Check("owner", "ok", f"process {found.pid} at {found.url}, {found.version}")


def port(config: "Config", owned_by: "Owner | None") -> Check:
    """Whether the server's port is free, or the owner's."""
    host, port = config.server.host, config.server.port
    where = f"{host}:{port}"
    if owned_by is not None and owned_by.url.endswith(f":{port}"):
        return Check("port", "ok", f"{where} is the owner's")
    try:
        with socket.create_connection((host, port), timeout=1):
            return Check("port", "warn", f"{where} is in use", "dev needs --port, 0 for any")
    except OSError:
        return Check("port", "ok", f"{where} is free")
