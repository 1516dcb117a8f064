"""The dispatchers where processes share log and graph: one of them, or a client of theirs."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import SecretStr

from agent_orchestration.analytics.serving import RemoteAnalytics
from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import Forbidden, Unauthenticated, Unavailable
from agent_orchestration.core.operations import Operation
from agent_orchestration.listener import Listener
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from agent_orchestration.repeating import RepeatingDispatcher, SessionDispatcher
from agent_orchestration.server.toolsets import DEFAULT_TOOLSETS, Toolsets


def _value(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


class SharedDispatcher(SessionDispatcher):
    """One of the processes on a log and a graph that they share.

    `decides`: takes its share of the partitions, to decide, fold and time them. `address` is where
    to listen; without it nobody is let in.
    """

    def __init__(
        self,
        config: Config,
        *,
        decides: bool,
        address: tuple[str, int] | None = None,
        toolsets: Toolsets = DEFAULT_TOOLSETS,
    ) -> None:
        self._platform = Platform(
            open_backends(config),
            process=process_name(),
            decides=decides,
            secret=config.auth.secret,
            analytics=RemoteAnalytics(config.analytics.url, _value(config.server.token)),
        )
        self._listener = (
            None
            if address is None
            else Listener(
                self,
                address,
                toolsets,
                _value(config.server.token),
                auth=config.auth,
                accounts=lambda: self._platform.accounts,
                allowed_hosts=config.server.allowed_hosts,
            )
        )

    @property
    def url(self) -> str | None:
        """Where this process listens, None where it does not."""
        return None if self._listener is None else self._listener.url

    async def start(self) -> None:
        """Connect, take partitions, then let callers in."""
        await self._platform.start()
        if self._listener is not None:
            await self._listener.open()

    async def stop(self) -> None:
        """Answer what is under way, give the partitions up, disconnect."""
        if self._listener is not None:
            await self._listener.close()
        await self._platform.stop()

    async def closed(self) -> None:
        """Wait until the server has ended; without one, for ever."""
        if self._listener is None:
            await super().closed()
        else:
            await self._listener.closed()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`."""
        return await self._platform.call(tool, arguments, caller)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `Dispatcher`."""
        return await self._platform.read_blob(digest, caller)

    async def status(self) -> dict[str, Any]:
        """See `Dispatcher`."""
        return await self._platform.status()

    def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        """See `Dispatcher`."""
        return self._platform.operate(operation)


class ServerDispatcher(RepeatingDispatcher):
    """A client of the server at `server.url`, or of whichever replica answers there."""

    def __init__(self, config: Config) -> None:
        assert config.server.url is not None
        self._remote = RemoteDispatcher(
            config.server.url.rstrip("/"),
            _value(config.server.token),
            self.registry,
            config.server.timeout,
            access_token=_value(config.server.access_token),
        )

    async def start(self) -> None:
        """See that a server is there. Raises `Unavailable`."""
        try:
            await self._remote.status()
        except OwnerGone as error:
            reason = f"server.url: {error.reason}; start the server, or correct the address"
            raise Unavailable("no_server", reason, field="server.url") from error

    async def stop(self) -> None:
        """Close the connections."""
        await self._remote.close()

    async def _resolve(self, _by: float) -> Dispatcher:
        return self._remote

    def _is_gone(self, _target: Dispatcher, gone: OwnerGone) -> None:
        """The next attempt may meet another replica, or the one that takes its place. They all have
        the same token."""
        if isinstance(gone.__cause__, Forbidden | Unauthenticated):
            raise gone.__cause__
