"""Serving: the HTTP application with uvicorn in the running loop, the MCP server over stdio."""

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from ipaddress import ip_address

import uvicorn
from fastmcp import FastMCP
from starlette.applications import Starlette

from agent_orchestration.core.errors import Rejected, Unavailable

logger = logging.getLogger(__name__)

OnStarted = Callable[[str], Awaitable[None]]

GRACE = 2.0
"""Seconds that requests have to end in when the server stops; then they are answered 503."""
_KEEP_ALIVE = 75
_BACKLOG = 2048
_HARD_LIMIT = 3


async def serve_http(
    app: Starlette, host: str, port: int, *, on_started: OnStarted | None = None
) -> None:
    """Serve until cancelled; then stop within three seconds, long polls included.

    Port 0 takes a free one; `on_started` is told the address once requests are accepted. Signals
    are the caller's business. Raises `Rejected` when the address cannot be used.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Longer than clients keep connections: who closes first must not be the one that a request
        # may already be on its way to.
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_HARD_LIMIT,
    )
    server = _Server(config, _url(host, listener), on_started)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        await server.stop(serving)
        raise
    finally:
        listener.close()


async def serve_stdio(server: FastMCP) -> None:
    """Serve one MCP client over standard input and output until it closes them."""
    await server.run_stdio_async(show_banner=False)


class _Server(uvicorn.Server):
    """Tells when it accepts requests, leaves signals alone, and ends what does not end."""

    def __init__(self, config: uvicorn.Config, url: str, on_started: OnStarted | None) -> None:
        super().__init__(config)
        self._url = url
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the program, not to one of its parts."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise Unavailable(
                "not_started", "the HTTP application could not start; the log has the cause"
            ) from None
        if self._on_started is None:
            return
        try:
            await self._on_started(self._url)
        except BaseException:
            await self.shutdown(sockets)
            raise

    async def stop(self, serving: asyncio.Task[None]) -> None:
        """Accept nothing more; give requests `GRACE` seconds, then cancel them."""
        self.should_exit = True
        await asyncio.wait({serving}, timeout=GRACE)
        for request in list(self.server_state.tasks):
            request.cancel()
        await asyncio.wait({serving}, timeout=_HARD_LIMIT - GRACE)
        if not serving.done():
            serving.cancel()
            await asyncio.wait({serving})
        if not serving.cancelled() and (error := serving.exception()):
            logger.error("the HTTP server did not stop cleanly", exc_info=error)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise Rejected(
            "unknown_host", f"host: {host!r} is no address here ({error.strerror})", field="host"
        ) from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> Rejected:
    if error.errno == errno.EADDRINUSE:
        return Rejected(
            "port_in_use",
            f"port: {port} on {host} is in use; end the other program, choose another port, or "
            "port 0 for a free one",
            field="port",
        )
    return Rejected(
        "address_refused", f"cannot listen on {host} port {port}: {error.strerror}", field="host"
    )


def _url(host: str, listener: socket.socket) -> str:
    """Where to reach the listener from this machine."""
    port = listener.getsockname()[1]
    with contextlib.suppress(ValueError):  # a name, not an address
        address = ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "[::1]"
        elif address.version == 6:
            host = f"[{host}]"
    return f"http://{host}:{port}"
