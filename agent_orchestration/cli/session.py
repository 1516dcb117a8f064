"""What the verbs share: their options, the settings, and a dispatcher while they run."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.dispatch import Caller
    from agent_orchestration.repeating import SessionDispatcher

T = TypeVar("T")
#: What the cancellation says when it comes from that signal.
SIGTERM = "SIGTERM"

#: What `--server` says, which stands before the verb.
server_option: ContextVar[str | None] = ContextVar("server_option", default=None)

MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, metavar="PORT", help="Metrics for Prometheus.", show_default=False
    ),
]
MetricsHostOption = Annotated[
    str, typer.Option(metavar="HOST", help="Where metrics are served, to whoever asks.")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The data folder.", show_default=False),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings file.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
ToolsOption = Annotated[
    str,
    typer.Option(
        "--tools",
        help="Toolsets to list: orchestrate, worker, converse, inspect, admin, accounts, or all.",
    ),
]


def settings(config: Path | None, data: Path | None = None, **more: Any) -> "Config":
    """The settings with what the command line says, before the verb and after it; logging follows
    them. `more` names settings with a double underscore for the dot: `server__port=8000`. Raises
    `ConfigError`."""
    from agent_orchestration.config import load_config  # noqa: PLC0415 (start-up time)
    from agent_orchestration.logs import configure_logging  # noqa: PLC0415

    given = {"server__url": server_option.get()} | more
    overrides = {name.replace("__", "."): value for name, value in given.items()}
    loaded = load_config(config, overrides={"data": data, **overrides})
    configure_logging(loaded.logging.level)
    return loaded


def with_dispatcher(
    config: "Config",
    work: "Callable[[SessionDispatcher], Awaitable[T]]",
    *,
    serve: bool = False,
    decides: bool = False,
    local: bool = False,
    **listening: Any,
) -> T:
    """Do `work` with a dispatcher on what the settings name: a server, the data folder, or log and
    graph that processes share. `serve`: stays until it is stopped; `decides`: takes partitions too,
    where they are shared; `local`: is no client, whatever the settings name. See
    `FolderDispatcher` for `listening`. An interruption ends it in order."""

    async def session() -> T:
        dispatcher = _dispatcher(config, serve=serve, decides=decides, local=local, **listening)
        try:
            await dispatcher.start()
            return await work(dispatcher)
        finally:
            await dispatcher.stop()

    return run(session(), serving=serve)


def _dispatcher(
    config: "Config", *, serve: bool, decides: bool, local: bool, **listening: Any
) -> "SessionDispatcher":
    from agent_orchestration.joined import FolderDispatcher  # noqa: PLC0415 (start-up time)
    from agent_orchestration.shared import ServerDispatcher, SharedDispatcher  # noqa: PLC0415

    if config.server.url is not None and not local:
        return ServerDispatcher(config)
    if config.backend == "embedded":
        return FolderDispatcher(config, serve=serve, **listening)
    return SharedDispatcher(config, decides=decides, **listening)


def expose_metrics(port: int | None, host: str) -> None:
    """Serve the metrics of this process there, where a port is given. Raises `Rejected`."""
    if port is not None:
        from agent_orchestration.metrics import serve_metrics  # noqa: PLC0415 (start-up time)

        serve_metrics(port, host)


def collect_rarely() -> None:
    """States and batches are many small objects that live for long: collecting as often as Python
    does by itself took a third of the time of a large batch."""
    gc.set_threshold(50_000, 20, 50)


def run(work: Awaitable[T], *, serving: bool = False) -> T:
    """Run to the end. SIGTERM cancels like Ctrl-C does, so that everything is closed. What serves
    others runs on uvloop where that is installed."""

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(NotImplementedError):  # Windows has no such signal
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel, SIGTERM)
        if not serving:
            return await work
        from agent_orchestration.cli.loop_delay import measure_loop_delay  # noqa: PLC0415

        measuring = asyncio.create_task(measure_loop_delay(), name="loop-delay")
        try:
            return await work
        finally:
            measuring.cancel()

    with asyncio.Runner(loop_factory=_fast_loop() if serving else None) as runner:
        return runner.run(cancellable())


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from agent_orchestration.cli.event_loop import FastLoop  # noqa: PLC0415 (an extra)
    except ImportError:
        return None
    return FastLoop


def ask(
    config: "Config", tool: str, arguments: dict[str, Any], *, caller: "Caller | None" = None
) -> dict[str, Any]:
    """One tool's answer, for the local operator or another caller."""
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

    asking = caller or Caller()
    return with_dispatcher(config, lambda dispatcher: dispatcher.call(tool, arguments, asking))
