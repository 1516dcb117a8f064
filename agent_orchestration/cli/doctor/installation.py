"""The installation that the settings name: log and graph, the archive, the keys of tokens."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agent_orchestration.cli.doctor.check import Check
from agent_orchestration.cli.session import with_dispatcher
from agent_orchestration.core.errors import PlatformError

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.config_auth import Auth
    from agent_orchestration.repeating import SessionDispatcher

_START_SECONDS = 10.0


def contents(config: "Config") -> Iterator[Check]:
    """Log and graph, opened by the owner or for a moment by this process."""
    if not (config.data / "log.sqlite").exists():
        yield Check("log", "ok", "empty")
        return
    yield from status(config)


def status(config: "Config") -> Iterator[Check]:
    """How log, graph and partitions are."""
    try:
        settled = with_dispatcher(config, _settled_status)
    except PlatformError as error:
        yield Check("log and graph", "fail", error.reason, "the log is kept; see the message")
        return
    for name, found in settled["checks"].items():
        if found["ok"]:
            yield Check(name, "ok", found["detail"])
        else:
            detail = f"{found['detail']} (since {found['since']})"
            yield Check(name, "fail", detail, "see the server's log")


def archive(config: "Config") -> Check:
    """How much waits for the archive, and for how long."""
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


def auth(settings: "Auth") -> Check:
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
