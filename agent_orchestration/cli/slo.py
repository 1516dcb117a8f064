"""`slo`: which service level objectives are met."""

import re
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, run, settings
from agent_orchestration.cli.text import plain, print_json, print_rows

if TYPE_CHECKING:
    from agent_orchestration.cli.slo_targets import Finding, Measured
    from agent_orchestration.config import Config

_WINDOW = "5m"


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(slo)


def slo(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Objectives in YAML.", show_default="the platform's"),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask this Prometheus.", show_default="the server itself"),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Of what Prometheus has: 30s, 5m, 2h, 7d.", show_default=_WINDOW
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Say which service level objectives are met: exit code 1 when one is missed, or when nothing
    is measured. What nothing measures is named, and no failure.

    A Prometheus knows all processes, as they were of late; without one a server says how it was
    since it began.

    Example: agent-orchestration slo --prometheus http://localhost:9090 --window 1h
    """
    from agent_orchestration.cli.slo_targets import evaluate, load_objectives  # noqa: PLC0415

    objectives = load_objectives(file or packaged_objectives())
    with _measured(settings(config, data), prometheus, window) as measured:
        findings = list(evaluate(objectives, measured))
    states = Counter(one.state for one in findings)
    ok = not any(one.fails for one in findings) and states["not measured"] < len(findings)
    if as_json:
        import msgspec  # noqa: PLC0415 (start-up time)

        print_json({"ok": ok, "targets": msgspec.to_builtins(findings)})
        return 0 if ok else 1
    print_rows([_row(one) for one in findings])
    print(", ".join(f"{states[state]} {state}" for state in ("met", "missed", "not measured")))
    return 0 if ok else 1


def packaged_objectives() -> Path:
    """The file with the platform's own."""
    packaged = Path(str(resources.files("agent_orchestration") / "slo.yaml"))
    # In the source tree it stands where the chart takes it from.
    beside = Path(__file__).parents[2] / "helm" / "agent-orchestration" / "monitoring" / "slo.yaml"
    return packaged if packaged.is_file() else beside


def _measured(
    config: "Config", prometheus: str | None, window: str | None
) -> "AbstractContextManager[Measured]":
    from agent_orchestration.cli.slo_sources import FromProcess, asked  # noqa: PLC0415

    if prometheus is None:
        if window is not None:
            raise typer.BadParameter(
                "needs --prometheus: a server knows only what was since it began",
                param_hint="--window",
            )
        return nullcontext(FromProcess(run(_page(config))))
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", prometheus):
        raise typer.BadParameter(
            f"{plain(prometheus)!r} is no address, such as http://localhost:9090",
            param_hint="--prometheus",
        )
    if not re.fullmatch(r"[1-9]\d*[smhd]", window or _WINDOW, re.ASCII):
        raise typer.BadParameter(
            f"{plain(window)!r} is no length of time, such as 30s, 5m, 2h, 7d",
            param_hint="--window",
        )
    return asked(prometheus.rstrip("/"), window or _WINDOW)


async def _page(config: "Config") -> str:
    """The metrics of the server that the settings name, or of who owns the data folder."""
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)
    from agent_orchestration.remote import RemoteDispatcher  # noqa: PLC0415 (start-up time)

    url, token, access_token = _server(config)
    remote = RemoteDispatcher(
        url, token, REGISTRY, config.server.timeout, access_token=access_token
    )
    try:
        return await remote.metrics()
    finally:
        await remote.close()


def _server(config: "Config") -> tuple[str, str | None, str | None]:
    """Its address, the token that it shares with its own, and one that says who asks."""
    from agent_orchestration.core.errors import Unavailable  # noqa: PLC0415 (start-up time)
    from agent_orchestration.data_folder import DataFolder  # noqa: PLC0415 (start-up time)

    if config.server.url is not None:
        token, access_token = config.server.token, config.server.access_token
        return (
            config.server.url.rstrip("/"),
            token.get_secret_value() if token is not None else None,
            access_token.get_secret_value() if access_token is not None else None,
        )
    if config.backend == "embedded" and (owner := DataFolder(config.data).owner()):
        return owner.url, owner.token, None
    nobody = (
        f"nobody serves {config.data}: start `dev` there"
        if config.backend == "embedded"
        else f"backend {config.backend} has many processes"
    )
    reason = f"{nobody}, name a server with --server, or a Prometheus with --prometheus"
    raise Unavailable("no_server", reason)


def _row(finding: "Finding") -> dict[str, object]:
    sign, bound = ("≤", finding.at_most) if finding.at_least is None else ("≥", finding.at_least)
    kind = " (goal)" if finding.goal else ""
    return {
        "objective": f"{finding.group}.{finding.name}{kind}",
        "wanted": f"{sign} {bound:g} {finding.unit}",
        "measured": None if finding.value is None else f"{finding.value:.4g}",
        "is": finding.state,
        "because": finding.reason,
    }
