"""A bare FastMCP server with one tool that echoes, on the platform's server stack.

`python -m bench.echo_server` prints its address as JSON and serves until it is ended.
"""

import asyncio

from fastmcp import FastMCP

from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.server.serve import serve_http


async def echo(text: str) -> str:
    """Answer what was sent."""
    return text


async def serve() -> None:
    """Serve with the same transport and settings as the platform, on a free loopback port."""
    server = FastMCP("echo")
    server.tool(echo)
    app = server.http_app(
        path="/mcp", stateless_http=True, json_response=True, host_origin_protection=False
    )

    async def on_started(url: str) -> None:
        print_json({"url": url})

    await serve_http(app, "127.0.0.1", 0, on_started=on_started)


if __name__ == "__main__":
    collect_rarely()
    try:
        run(serve(), serving=True)
    except asyncio.CancelledError:
        raise SystemExit(0) from None
