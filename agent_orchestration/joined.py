"""The dispatcher on the embedded backends: owns the data folder, or joins the process that does.

Whoever gets the folder's lock runs the platform in its own process and serves the others over HTTP.
When the owner ends, one of the others takes over; a call that was under way is repeated there with
the same idempotency key, so it is carried out once.
"""

import asyncio
import contextvars
import logging

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.accounts import Accounts
from agent_orchestration.core.dispatch import Dispatcher
from agent_orchestration.core.errors import PlatformError, Unavailable
from agent_orchestration.data_folder import DataFolder, Owner, new_token
from agent_orchestration.listener import Listener
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from agent_orchestration.repeating import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    RepeatingDispatcher,
    deadline,
)
from agent_orchestration.server.toolsets import DEFAULT_TOOLSETS, Toolsets

#: How often a joined process looks whether the owner is still there.
WATCH_SECONDS = 0.25
#: A short verb that owns the folder longer than this lets others join.
SHORT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class FolderDispatcher(RepeatingDispatcher):
    """On a data folder: owns it, or passes every call on to the owner.

    `serve`: stay until stopped and take over when the owner ends (`dev`, `mcp`, `run`); otherwise
    this is a short verb, which opens a port for others only when it takes long. `address` is where
    to listen, always and from the start (`dev`); without it the owner listens on a free loopback
    port. `stop` must be called at the end, also after a failed `start`.
    """

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
        self._listener = Listener(
            self,
            address or ("127.0.0.1", 0),
            toolsets,
            self._token,
            auth=config.auth,
            accounts=self._accounts,
            allowed_hosts=config.server.allowed_hosts,
        )
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
        await self._resolve(deadline())
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

    def _is_gone(self, target: Dispatcher, _gone: OwnerGone) -> None:
        if self._target is target:
            self._target = None

    async def _resolve(self, by: float) -> Dispatcher:
        """This process's platform or the present owner's address; waits for one to appear."""
        pause = FIRST_PAUSE
        async with self._resolving:
            while self._target is None:
                if self.folder.try_own():
                    await self._own()
                elif owner := self.folder.owner():
                    self._target = self._join(owner)
                elif asyncio.get_running_loop().time() > by:
                    raise Unavailable(
                        "owner_unreachable",
                        f"another process owns {self.folder.path} and does not answer; wait for"
                        " it, end it, or choose another folder with --data",
                        data=str(self.folder.path),
                    )
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            return self._target

    def _accounts(self) -> Accounts:
        """Those of the platform, wherever it runs."""
        if self._platform is not None:
            return self._platform.accounts
        owner = self.folder.owner()
        if owner is None:
            raise Unavailable("no_owner", "nobody owns the data at the moment; repeat the request")
        return self._join(owner)

    def _join(self, owner: Owner) -> RemoteDispatcher:
        if owner not in self._remotes:
            self._remotes[owner] = RemoteDispatcher(
                owner.url, owner.token, self.registry, self._config.server.timeout
            )
        return self._remotes[owner]

    async def _own(self) -> None:
        """Run the platform here; the lock is held. Given back where it does not start."""
        platform = Platform(open_backends(self._config), secret=self._config.auth.secret)
        try:
            # Its own work goes on for long after the call in which it may have begun here.
            await asyncio.create_task(platform.start(), context=contextvars.Context())
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
