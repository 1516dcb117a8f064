"""`dev` and `mcp`: the server for everybody on this machine, and the one for a desktop client."""

import asyncio
import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.failure import INTERRUPTED, TERMINATED
from agent_orchestration.cli.session import (
    SIGTERM,
    ConfigOption,
    DataOption,
    JsonOption,
    ToolsOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import print_json

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.joined import FolderDispatcher


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    program.command()(dev)
    program.command()(mcp)


def dev(
    port: Annotated[int | None, typer.Option(help="0 takes a free one.", metavar="PORT")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen.", metavar="HOST")] = None,
    data: DataOption = None,
    tools: ToolsOption = "orchestrate",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines in, without authentication.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run everything in one process: MCP and HTTP server, log, and graph.

    Example: agent-orchestration dev --port 8000 --tools all
    """
    from agent_orchestration.server.toolsets import parse_toolsets  # noqa: PLC0415

    loaded = settings(config, data, server__port=port, server__host=host)
    _require_loopback(loaded.server.host, insecure)
    toolsets = parse_toolsets(tools)

    async def serve(dispatcher: "FolderDispatcher") -> None:
        if as_json:
            print_json(_facts(dispatcher, loaded))
        else:
            print(_welcome(dispatcher, loaded), flush=True)
        await dispatcher.closed()

    address = (loaded.server.host, loaded.server.port)
    with_dispatcher(loaded, serve, serve=True, address=address, toolsets=toolsets)


def mcp(
    data: DataOption = None, tools: ToolsOption = "orchestrate", config: ConfigOption = None
) -> None:
    """Serve one MCP client, such as Claude Desktop, over standard input and output.

    Joins the process that owns the data folder, or owns it; takes over when the owner ends.

    Example: agent-orchestration mcp --data ~/.agent-orchestration
    """
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)
    from agent_orchestration.server.mcp import create_mcp  # noqa: PLC0415
    from agent_orchestration.server.serve import serve_stdio  # noqa: PLC0415
    from agent_orchestration.server.toolsets import parse_toolsets  # noqa: PLC0415

    loaded = settings(config, data)
    toolsets = parse_toolsets(tools)

    async def serve(dispatcher: "FolderDispatcher") -> None:
        server = create_mcp(dispatcher, toolsets=toolsets, caller=Caller)
        serving = asyncio.create_task(serve_stdio(server))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError as cancelled:
            # A thread waits for standard input and cannot be woken: close all else, then end.
            await dispatcher.stop()
            os._exit(TERMINATED if cancelled.args == (SIGTERM,) else INTERRUPTED)

    with_dispatcher(loaded, serve, serve=True, toolsets=toolsets)


def _require_loopback(host: str, insecure: bool) -> None:
    if host == "localhost" or insecure:
        return
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise typer.BadParameter(
            f"{host} can be reached from other machines and nobody has to log in; use 127.0.0.1,"
            " or --insecure if you mean it",
            param_hint="--host",
        )


def _facts(dispatcher: "FolderDispatcher", config: "Config") -> dict[str, object]:
    return {
        "url": dispatcher.url,
        "mcp": f"{dispatcher.url}/mcp",
        "data": str(config.data),
        "pid": os.getpid(),
    }


def _welcome(dispatcher: "FolderDispatcher", config: "Config") -> str:
    role = "owned by this process" if dispatcher.owns else "joined to the process that owns it"
    return f"""\
agent-orchestration is running.

  status page   {dispatcher.url}/
  MCP           {dispatcher.url}/mcp
  data folder   {config.data} ({role})

Try in another terminal:
  agent-orchestration call get_overview --data "{config.data}"
  agent-orchestration call create_task title="Say hello" --data "{config.data}"
  agent-orchestration events tail --follow --data "{config.data}"
  agent-orchestration install claude-desktop --data "{config.data}"

Ctrl-C ends it."""
