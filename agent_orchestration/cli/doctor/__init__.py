"""`doctor`: is everything here that the platform needs, and if not, what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from agent_orchestration.cli.doctor import here, installation
from agent_orchestration.cli.doctor.check import Check
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import plain, print_json
from agent_orchestration.core.errors import PlatformError

PreflightOption = Annotated[
    bool, typer.Option("--preflight", help="Also what a production needs, item by item.")
]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(doctor)


def doctor(
    preflight: PreflightOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Check this installation and a data folder; exit code 1 when something does not work.

    Example: agent-orchestration doctor --data ~/.agent-orchestration
    """
    checks = list(_checks(config, data, preflight=preflight))
    healthy = all(check.state != "fail" for check in checks)
    if as_json:
        print_json({"ok": healthy, "checks": [check._asdict() for check in checks]})
        return 0 if healthy else 1
    state_width = max(4, *(len(check.state) for check in checks))
    width = max(len(check.name) for check in checks)
    for check in checks:
        remedy = f"; {check.remedy}" if check.remedy else ""
        said = plain(check.detail + remedy)
        print(f"{check.state:{state_width}}  {check.name:{width}}  {said}")
    return 0 if healthy else 1


def _checks(config: Path | None, data: Path | None, *, preflight: bool) -> Iterator[Check]:
    yield here.python()
    yield from here.packages()
    try:
        loaded = settings(config, data)
    except PlatformError as error:
        problems: list[str] = error.details.get("problems") or [error.reason]
        yield from (Check("settings", "fail", problem, "correct it") for problem in problems)
        return
    yield Check("settings", "ok", f"backend {loaded.backend}, {loaded.environment}")
    owner = None
    yield here.folder(loaded.data)
    yield here.disk(loaded.data)
    if loaded.backend == "embedded":
        owner, check = here.owner(loaded.data)
        yield check
        yield from installation.contents(loaded)
    else:
        yield from installation.status(loaded)
    if loaded.archive.url is not None:
        yield installation.archive(loaded)
    if loaded.auth.enabled:
        yield installation.auth(loaded.auth)
    yield here.port(loaded, owner)
    if preflight:
        from agent_orchestration.cli.doctor.preflight import items  # noqa: PLC0415 (start-up time)

        yield from items(loaded, owner)
