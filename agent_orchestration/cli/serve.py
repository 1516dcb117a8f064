"""What stays running: everything at once, its parts, and the server for a desktop client."""

import asyncio
import os
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.failure import INTERRUPTED, TERMINATED, report
from agent_orchestration.cli.session import (
    SIGTERM,
    ConfigOption,
    DataOption,
    JsonOption,
    MetricsHostOption,
    MetricsPortOption,
    ToolsOption,
    expose_metrics,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import print_json
from agent_orchestration.core.errors import Rejected, Unauthenticated

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.dispatch import Caller
    from agent_orchestration.repeating import SessionDispatcher


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    for verb in (dev, serve, processor, mcp):
        program.command()(verb)


PortOption = Annotated[
    int | None, typer.Option(help="0 takes a free one.", metavar="PORT", show_default=False)
]
HostOption = Annotated[
    str | None, typer.Option(help="Where to listen.", metavar="HOST", show_default=False)
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Let other machines in, without authentication.")
]


def dev(
    port: PortOption = None,
    host: HostOption = None,
    data: DataOption = None,
    tools: ToolsOption = "orchestrate",
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run everything in one process: MCP and HTTP server, command processor, projector, timer.

    Example: agent-orchestration dev --port 8000 --tools all
    """
    loaded = settings(config, data, server__port=port, server__host=host)
    _listen(loaded, tools, insecure=insecure, as_json=as_json, decides=True)


def serve(
    port: PortOption = None,
    host: HostOption = None,
    tools: ToolsOption = "orchestrate",
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Serve MCP and HTTP on Kafka and Neo4j; any number of them, beside at least one `processor`.

    Example: agent-orchestration serve --port 8000 --config config.yaml
    """
    loaded = settings(config, server__port=port, server__host=host)
    _require_shared(loaded, "serve")
    _listen(loaded, tools, insecure=insecure, as_json=as_json, decides=False)


def processor(
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Decide commands, fold events into the graph and watch deadlines, on Kafka and Neo4j. Each
    takes its share of the partitions; more of them than partitions wait to step in.

    Example: agent-orchestration processor --config config.yaml
    """
    loaded = settings(config)
    _require_shared(loaded, "processor")

    async def work(dispatcher: "SessionDispatcher") -> None:
        status = await dispatcher.status()
        if as_json:
            print_json({"pid": os.getpid(), "checks": status["checks"]})
        else:
            print(f"processor {os.getpid()} is running. Ctrl-C ends it.", flush=True)
        await dispatcher.closed()

    expose_metrics(metrics_port, metrics_host)
    with_dispatcher(loaded, work, serve=True, decides=True, local=True)


def _listen(loaded: "Config", tools: str, *, insecure: bool, as_json: bool, decides: bool) -> None:
    from agent_orchestration.server.toolsets import parse_toolsets  # noqa: PLC0415

    _require_loopback(loaded.server.host, insecure or loaded.auth.enabled)
    toolsets = parse_toolsets(tools)

    async def work(dispatcher: "SessionDispatcher") -> None:
        if as_json:
            print_json(_facts(dispatcher, loaded))
        else:
            print(_welcome(dispatcher, loaded), flush=True)
        await dispatcher.closed()

    with_dispatcher(
        loaded,
        work,
        serve=True,
        decides=decides,
        local=True,
        address=(loaded.server.host, loaded.server.port),
        toolsets=toolsets,
    )


def mcp(
    data: DataOption = None, tools: ToolsOption = "orchestrate", config: ConfigOption = None
) -> None:
    """Serve one MCP client, such as Claude Desktop, over standard input and output.

    Joins the process that owns the data folder, or owns it; takes over when the owner ends. Whose
    client it is says AGENT_ORCHESTRATION_ACCESS_TOKEN; without that it is the local operator's.

    Example: agent-orchestration mcp --data ~/.agent-orchestration
    """
    from agent_orchestration.server.mcp import create_mcp  # noqa: PLC0415 (start-up time)
    from agent_orchestration.server.serve import serve_stdio  # noqa: PLC0415
    from agent_orchestration.server.toolsets import parse_toolsets  # noqa: PLC0415

    loaded = settings(config, data)
    toolsets = parse_toolsets(tools)

    async def work(dispatcher: "SessionDispatcher") -> None:
        caller, seconds = await _identity(loaded)
        server = create_mcp(dispatcher, toolsets=toolsets, caller=lambda: caller)
        serving = asyncio.create_task(serve_stdio(server))
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(serving)
        except (asyncio.CancelledError, TimeoutError) as ended:
            # A thread waits for standard input and cannot be woken: close all else, then end.
            await dispatcher.stop()
            if isinstance(ended, TimeoutError):
                os._exit(report(_expired(), as_json=False))
            os._exit(TERMINATED if ended.args == (SIGTERM,) else INTERRUPTED)

    with_dispatcher(loaded, work, serve=True, toolsets=toolsets)


async def _identity(config: "Config") -> "tuple[Caller, float | None]":
    """On whose behalf a client over standard input and output runs, and for how many seconds at
    most: who its token says, or the local operator. Raises what `AccessTokens.access` raises."""
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

    token = config.server.access_token
    if token is None or config.server.url is not None:
        return Caller(), None  # the server there is told, and decides
    if not config.auth.enabled:
        raise Rejected(
            "unchecked_token",
            "server.access_token: nobody can check it; set auth as the server has it, or"
            " server.url, or leave the token out to act as the local operator",
            field="server.access_token",
        )
    from agent_orchestration.server.access import LEEWAY_SECONDS, AccessTokens  # noqa: PLC0415

    access = await AccessTokens(config.auth).access(token.get_secret_value())
    seconds = access.expires_at + LEEWAY_SECONDS - time.time()
    return Caller(principal=access.principal, tenant=access.tenant), max(seconds, 0.0)


def _expired() -> Unauthenticated:
    return Unauthenticated(
        "invalid_token", "server.access_token: the token has expired; get a new one, start again"
    )


def _require_loopback(host: str, guarded: bool) -> None:
    """Raises where other machines could call and nobody asks who they are, unless that is meant."""
    if not (guarded or is_loopback(host)):
        raise typer.BadParameter(
            f"{host} can be reached from other machines and nobody has to log in; use 127.0.0.1,"
            " or the section auth of the settings, or --insecure if you mean it",
            param_hint="--host",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can call there."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _require_shared(config: "Config", verb: str) -> None:
    if config.backend == "embedded":
        raise Rejected(
            "backend",
            f"backend: {verb} needs kafka-neo4j, where processes share log and graph; on the"
            " embedded backend `dev` does everything",
            field="backend",
        )


def _facts(dispatcher: "SessionDispatcher", config: "Config") -> dict[str, object]:
    return {
        "url": dispatcher.url,
        "mcp": f"{dispatcher.url}/mcp",
        "data": str(config.data),
        "pid": os.getpid(),
    }


def _welcome(dispatcher: "SessionDispatcher", config: "Config") -> str:
    if config.backend == "embedded":
        role = "owned by this process" if dispatcher.owns else "joined to the process that owns it"
        place = f"data folder   {config.data} ({role})"
        call, option = "agent-orchestration", f' --data "{config.data}"'
    else:
        place = f"Kafka, Neo4j  {config.kafka.bootstrap_servers} and {config.database.uri}"
        call, option = f"agent-orchestration --server {dispatcher.url}", ""
    return f"""\
agent-orchestration is running.

  status page   {dispatcher.url}/
  MCP           {dispatcher.url}/mcp
  {place}

Try in another terminal:
  {call} call get_overview{option}
  {call} call create_task title="Say hello"{option}
  {call} events tail --follow{option}
  {call} install claude-desktop{option}

Ctrl-C ends it."""
