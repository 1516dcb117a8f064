"""The dispatcher of every verb: owns the data folder, or joins the process that does.

Whoever gets the folder's lock runs the platform in its own process and serves the others over HTTP.
When the owner ends, one of the others takes over; a call that was under way is repeated there with
the same idempotency key, so it is carried out once.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError, Unavailable
from agent_orchestration.core.module import Registry
from agent_orchestration.data_folder import DataFolder, Owner, new_token
from agent_orchestration.listener import Listener
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from agent_orchestration.server.toolsets import DEFAULT_TOOLSETS, Toolsets

#: How long a call looks for an owner before it gives up.
SEARCH_SECONDS = 30.0
#: How often a joined process looks whether the owner is still there.
WATCH_SECONDS = 0.25
#: A short verb that owns the folder longer than this lets others join.
SHORT_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

logger = logging.getLogger(__name__)
T = TypeVar("T")


class FolderDispatcher:
    """A `Dispatcher` on a data folder.

    `serve`: stay until stopped and take over when the owner ends (`dev`, `mcp`, `run`); otherwise
    this is a short verb, which opens a port for others only when it takes long. `address` is where
    to listen, always and from the start (`dev`); without it the owner listens on a free loopback
    port. `stop` must be called at the end, also after a failed `start`.
    """

    registry: Registry = REGISTRY

    def __init__(
        self,
        config: Config,
        *,
        serve: bool,
        address: tuple[str, int] | None = None,
        toolsets: Toolsets = DEFAULT_TOOLSETS,
    ) -> None:
        self.folder = DataFolder(config.data)
        self._config = config
        self._serve = serve
        self._fixed = address is not None
        self._token = new_token()
        self._listener = Listener(self, address or ("127.0.0.1", 0), toolsets, self._token)
        self._platform: Platform | None = None
        self._remotes: dict[Owner, RemoteDispatcher] = {}
        self._target: Dispatcher | None = None
        self._resolving = asyncio.Lock()
        self._background: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str | None:
        """Where this process listens, None where it does not."""
        return self._listener.url

    async def closed(self) -> None:
        """Wait until the server at `address` has ended; raises what ended it."""
        await self._listener.closed()

    @property
    def owns(self) -> bool:
        """Whether this process is the owner."""
        return self._platform is not None

    async def start(self) -> None:
        """Own the folder or join its owner. Raises a `PlatformError` where neither is possible."""
        self._config.require_available_backend()
        await self._resolve(_deadline())
        if self._fixed:
            await self._listener.open()
            self._announce()
        if self._serve:
            # Importing the server takes most of a second: not in the middle of the work.
            await asyncio.gather(*self._background)
            self._background.append(asyncio.create_task(self._watch()))

    async def stop(self) -> None:
        """End: calls under way are answered, the log is closed, the folder is free for others."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self.folder.withdraw()
        await self._listener.close()
        if self._platform is not None:
            await self._platform.stop()
        for remote in self._remotes.values():
            await remote.close()
        self.folder.release()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`."""
        known = self.registry.tools.get(tool)
        sent = dict(arguments)

        async def once(target: Dispatcher) -> dict[str, Any]:
            # Only another process can end in the middle; there a repetition must be recognised.
            if target is not self._platform and known is not None and known.takes_key:
                sent["idempotency_key"] = sent.get("idempotency_key") or uuid.uuid4().hex
            return await target.call(tool, sent, caller)

        return await self._until_answered(once)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `Dispatcher`."""
        return await self._until_answered(lambda target: target.read_blob(digest, caller))

    async def status(self) -> dict[str, Any]:
        """See `Dispatcher`; a joined process answers with its owner's checks."""
        status = await self._until_answered(lambda target: target.status())
        return status | {"role": "owner" if self.owns else "joined"}

    async def rebuild(self) -> AsyncIterator[dict[str, Any]]:
        """See `Dispatcher`. Not repeated by itself when the owner ends in the middle."""
        target = await self._resolve(_deadline())
        async for step in target.rebuild():
            yield step

    async def _until_answered(self, ask: Callable[[Dispatcher], Awaitable[T]]) -> T:
        """Ask whoever owns the folder, again and of the next one while owners end."""
        deadline: float | None = None
        pause = _FIRST_PAUSE
        while True:
            target = await self._resolve(deadline or _deadline())
            try:
                return await ask(target)
            except OwnerGone as gone:
                deadline = deadline or _deadline()
                if _now() > deadline:
                    raise Unavailable("owner_unreachable", gone.reason) from gone
                if self._target is target:
                    self._target = None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _resolve(self, deadline: float) -> Dispatcher:
        """This process's platform or the present owner's address; waits for one to appear."""
        pause = _FIRST_PAUSE
        async with self._resolving:
            while self._target is None:
                if self.folder.try_own():
                    await self._own()
                elif owner := self.folder.owner():
                    self._target = self._join(owner)
                elif _now() > deadline:
                    raise Unavailable(
                        "owner_unreachable",
                        f"another process owns {self.folder.path} and does not answer; wait for"
                        " it, end it, or choose another folder with --data",
                        data=str(self.folder.path),
                    )
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
            return self._target

    def _join(self, owner: Owner) -> RemoteDispatcher:
        if owner not in self._remotes:
            self._remotes[owner] = RemoteDispatcher(
                owner.url, owner.token, self.registry, self._config.server.timeout
            )
        return self._remotes[owner]

    async def _own(self) -> None:
        """Run the platform here; the lock is held. Given back where it does not start."""
        platform = Platform(open_backends(self._config))
        try:
            await platform.start()
        except BaseException:
            await platform.stop()
            self.folder.release()
            raise
        self._platform = self._target = platform
        if not self._fixed:
            self._background.append(asyncio.create_task(self._let_others_join()))
        self._announce()

    async def _let_others_join(self) -> None:
        if not self._serve:
            await asyncio.sleep(SHORT_SECONDS)
        try:
            await self._listener.open()
        except PlatformError as error:
            logger.error("no other process can join %s: %s", self.folder.path, error.reason)
        self._announce()

    def _announce(self) -> None:
        if self._platform is not None and self._listener.url:
            self.folder.announce(self._listener.url, self._token)

    async def _watch(self) -> None:
        """Take over when the owner ends, also when nothing is called."""
        while self._platform is None:
            await asyncio.sleep(WATCH_SECONDS)
            async with self._resolving:
                try:
                    if self._platform is None and self.folder.try_own():
                        await self._own()
                        logger.info("took over %s", self.folder.path)
                except PlatformError as error:
                    # The next call meets the same error and tells its caller.
                    logger.error("cannot take over %s: %s", self.folder.path, error.reason)
                    self._target = None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _deadline() -> float:
    return _now() + SEARCH_SECONDS
