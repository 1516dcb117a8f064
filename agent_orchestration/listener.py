"""The HTTP server that a process runs beside its dispatcher, as a background task."""

import asyncio
import logging
from collections.abc import Callable

from agent_orchestration.config_auth import Auth
from agent_orchestration.core.accounts import Accounts
from agent_orchestration.core.dispatch import Dispatcher
from agent_orchestration.server.toolsets import Toolsets

logger = logging.getLogger(__name__)


class Listener:
    """Serves a dispatcher at `address` (host, port; port 0: a free one) once opened, to requests
    that call it by one of `allowed_hosts`, where some are named. `token` is the server's own;
    without it, and where `auth` asks for no other, callers are who the server takes them for.
    Users of `accounts` may log in.

    Not reusable: after `close` it stays closed.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        address: tuple[str, int],
        toolsets: Toolsets,
        token: str | None,
        *,
        auth: Auth,
        accounts: Callable[[], Accounts],
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self._dispatcher = dispatcher
        self._address = address
        self._toolsets: Toolsets = toolsets
        self._token = token
        self._auth = auth
        self._accounts = accounts
        self._allowed_hosts = allowed_hosts
        self._serving: asyncio.Task[None] | None = None
        self.url: str | None = None

    async def open(self) -> None:
        """Start to serve; returns when requests are accepted. Raises `Rejected` where the address
        cannot be used."""
        # The MCP framework takes most of a second to import; short verbs never get here.
        from agent_orchestration.server.access import AccessTokens  # noqa: PLC0415
        from agent_orchestration.server.http import create_app  # noqa: PLC0415
        from agent_orchestration.server.serve import serve_http  # noqa: PLC0415

        app = create_app(
            self._dispatcher,
            toolsets=self._toolsets,
            token=self._token,
            tokens=AccessTokens(self._auth) if self._auth.enabled else None,
            accounts=self._accounts,
            allowed_hosts=self._allowed_hosts or None,
        )
        started = asyncio.Event()

        async def on_started(url: str) -> None:
            self.url = url
            started.set()

        self._serving = asyncio.create_task(serve_http(app, *self._address, on_started=on_started))
        accepting = asyncio.create_task(started.wait())
        await asyncio.wait({self._serving, accepting}, return_when=asyncio.FIRST_COMPLETED)
        accepting.cancel()
        if self.url is None:
            await self._serving

    async def closed(self) -> None:
        """Wait until the server has ended; raises what ended it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def close(self) -> None:
        """Accept nothing more and end within three seconds; long polls are told to repeat."""
        if self._serving is None:
            return
        self._serving.cancel()
        (result,) = await asyncio.gather(self._serving, return_exceptions=True)
        if isinstance(result, Exception) and self.url is not None:
            logger.error("the server at %s ended: %s", self.url, result)
        self.url = None
