"""`doctor`: is everything here that the platform needs, and if not, what to do."""

import asyncio
import re
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import plain, print_json
from agent_orchestration.core.errors import PlatformError

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.config_auth import Auth
    from agent_orchestration.data_folder import Owner
    from agent_orchestration.repeating import SessionDispatcher

DISTRIBUTION = "agent-orchestration"
_GIGABYTE = 1024**3
_START_SECONDS = 10.0
_SCARCE, _TOO_LITTLE = 1 * _GIGABYTE, _GIGABYTE // 10


class Check(NamedTuple):
    """One finding; `remedy` is empty where nothing has to be done."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(doctor)


def doctor(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> int:
    """Check this installation and a data folder; exit code 1 when something does not work.

    Example: agent-orchestration doctor --data ~/.agent-orchestration
    """
    checks = list(_checks(config, data))
    healthy = all(check.state != "fail" for check in checks)
    if as_json:
        print_json({"ok": healthy, "checks": [check._asdict() for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            remedy = f"; {check.remedy}" if check.remedy else ""
            print(f"{check.state:4}  {check.name:{width}}  {plain(check.detail + remedy)}")
    return 0 if healthy else 1


def _checks(config: Path | None, data: Path | None) -> Iterator[Check]:
    yield _python()
    yield from _packages()
    try:
        loaded = settings(config, data)
    except PlatformError as error:
        problems: list[str] = error.details.get("problems") or [error.reason]
        yield from (Check("settings", "fail", problem, "correct it") for problem in problems)
        return
    yield Check("settings", "ok", f"backend {loaded.backend}, {loaded.environment}")
    owner = None
    yield _folder(loaded.data)
    yield _disk(loaded.data)
    if loaded.backend == "embedded":
        owner, check = _owner(loaded.data)
        yield check
        yield from _contents(loaded)
    else:
        yield from _status(loaded)
    if loaded.archive.url is not None:
        yield _archive(loaded)
    if loaded.auth.enabled:
        yield _auth(loaded.auth)
    yield _port(loaded, owner)


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", "ok", f"{version} at {sys.executable}")


def _packages() -> Iterator[Check]:
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


def _folder(path: Path) -> Check:
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


def _disk(path: Path) -> Check:
    existing = next(one for one in (path, *path.parents) if one.exists())
    free = shutil.disk_usage(existing).free
    state = "fail" if free < _TOO_LITTLE else "warn" if free < _SCARCE else "ok"
    remedy = "" if state == "ok" else "free some, or choose another disk with --data"
    return Check("disk space", state, f"{free / _GIGABYTE:.1f} GB free", remedy)


def _owner(path: Path) -> tuple["Owner | None", Check]:
    from agent_orchestration.data_folder import DataFolder  # noqa: PLC0415 (start-up time)

    folder = DataFolder(path)
    if not path.exists():
        return None, Check("owner", "ok", "nobody")
    try:
        free = folder.try_own()
    except PlatformError as error:
        return None, Check("owner", "fail", error.reason)
    folder.release()
    owner = None if free else folder.owner()
    if free:
        return None, Check("owner", "ok", "nobody; the next verb owns the folder")
    if owner is None:
        remedy = "if it stays so, end that process"
        return None, Check("owner", "warn", "a process that others cannot join yet", remedy)
    return owner, Check("owner", "ok", f"process {owner.pid} at {owner.url}, {owner.version}")


def _contents(config: "Config") -> Iterator[Check]:
    """Log and graph, opened by the owner or for a moment by this process."""
    if not (config.data / "log.sqlite").exists():
        yield Check("log", "ok", "empty")
        return
    yield from _status(config)


def _status(config: "Config") -> Iterator[Check]:
    try:
        status = with_dispatcher(config, _settled_status)
    except PlatformError as error:
        yield Check("log and graph", "fail", error.reason, "the log is kept; see the message")
        return
    for name, found in status["checks"].items():
        state = "ok" if found["ok"] else "fail"
        yield Check(name, state, found["detail"], "" if found["ok"] else "see the server's log")


def _archive(config: "Config") -> Check:
    from agent_orchestration.cli.operations import operated  # noqa: PLC0415 (start-up time)
    from agent_orchestration.core.operations import Archive  # noqa: PLC0415

    remedy = "see that its place can be written to, and that a processor runs"
    try:
        found = operated(config, Archive(only_look=True))
    except PlatformError as error:
        return Check("archive", "fail", error.reason, remedy)
    waiting = sum(one["waiting"] for one in found["partitions"])
    minutes = max(one["waiting_ms"] for one in found["partitions"]) / 60_000 if waiting else 0
    detail = f"{waiting} events wait for {found['place']}, the oldest for {minutes:.0f} minutes"
    if found["ok"]:
        return Check("archive", "ok", detail)
    return Check("archive", "warn", detail, remedy)


def _auth(settings: "Auth") -> Check:
    """Whether the keys that callers' tokens are checked with are there."""
    if settings.jwks_uri is None:
        # What is wrong with a secret, or a key in the settings, the settings say.
        source = "auth.public_key" if settings.public_key else "auth.jwt_secret"
        return Check("auth", "ok", f"tokens of {settings.issuer}, checked with {source}")
    from agent_orchestration.server.jwks import ALGORITHMS, KeySet  # noqa: PLC0415 (start-up time)

    try:
        keys = asyncio.run(KeySet(settings.jwks_uri).published())
    except PlatformError as error:
        remedy = "see that it is the provider's jwks_uri and can be reached from here"
        return Check("auth", "fail", error.reason, remedy)
    where = f"at {settings.jwks_uri}"
    if not keys:
        remedy = "have the provider sign with one of these, and name its keys"
        missing = f"no key with a name (kid) for {' or '.join(ALGORITHMS)} {where}"
        return Check("auth", "fail", missing, remedy)
    return Check("auth", "ok", f"tokens of {settings.issuer}, {len(keys)} keys {where}")


async def _settled_status(dispatcher: "SessionDispatcher") -> dict[str, Any]:
    """The status when everything works; after a while, what it is then."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    # Who owns the folder may be another process, so there is nothing here to wait on.
    while not (status := await dispatcher.status())["ready"] and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return status


def _port(config: "Config", owner: "Owner | None") -> Check:
    host, port = config.server.host, config.server.port
    where = f"{host}:{port}"
    if owner is not None and owner.url.endswith(f":{port}"):
        return Check("port", "ok", f"{where} is the owner's")
    try:
        with socket.create_connection((host, port), timeout=1):
            return Check("port", "warn", f"{where} is in use", "dev needs --port, 0 for any")
    except OSError:
        return Check("port", "ok", f"{where} is free")
