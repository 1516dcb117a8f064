"""Sessions on a Neo4j server or cluster, and the questions that are asked with them.

Nothing is tried twice here but questions that a writer overtook, and the driver is told not to:
whoever asks knows what a repetition means. A session's bookmarks go to the next one, so that on a
cluster a read follows own writes.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import neo4j
from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncSession, Query, ResultSummary
from neo4j.exceptions import Neo4jError

from agent_orchestration import __version__
from agent_orchestration.backends.graph import read_errors
from agent_orchestration.backends.graph.neo4j.errors import (
    Overtaken,
    opening_errors,
    reading_errors,
)
from agent_orchestration.backends.graph.neo4j.login import Login
from agent_orchestration.backends.graph.neo4j.values import row, to_driver
from agent_orchestration.config import Database
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.measures import GRAPH_CONNECTIONS

#: Connections that were idle for longer are asked whether they still work.
IDLE_SECONDS = 30.0
#: How long a session waits for a connection, beside the time that making one takes.
POOL_SECONDS = 10.0
#: How often a question is asked again because what it looked at was being deleted.
OVERTAKEN_TIMES = 5


class Connection:
    """The driver with the platform's settings; open between `open` and `close`."""

    def __init__(self, settings: Database) -> None:
        self._settings = settings
        self._driver: AsyncDriver | None = None
        self._login = Login()
        self._bookmarks = AsyncGraphDatabase.bookmark_manager()
        #: How many sessions there are, each of which takes one connection at a time.
        self.used = 0
        # Half of the connections are kept for those who write: they never wait for readers.
        self._readers = asyncio.Semaphore(max(settings.pool_size // 2, 1))

    async def open(self) -> None:
        """Connect. Raises `Unavailable` naming the server."""
        settings = self._settings
        secret = settings.password.get_secret_value() if settings.password else None
        connecting = settings.connection_timeout / 1000
        with opening_errors(settings.uri):
            driver = AsyncGraphDatabase.driver(  # pyright: ignore[reportUnknownMemberType]
                settings.uri,
                auth=(settings.username, secret) if secret else None,
                max_connection_pool_size=settings.pool_size,
                connection_timeout=connecting,
                connection_acquisition_timeout=connecting + POOL_SECONDS,
                liveness_check_timeout=IDLE_SECONDS,
                disable_auto_commit_retries=True,
                notifications_min_severity=neo4j.NotificationMinimumSeverity.OFF,
                telemetry_disabled=True,
                user_agent=f"agent-orchestration/{__version__}",
            )
            try:
                async with asyncio.timeout(2 * connecting):
                    await driver.verify_connectivity()  # pyright: ignore[reportUnknownMemberType]
            except BaseException:
                await driver.close()
                raise
        self._driver = driver
        _OPEN.add(self)

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        driver, self._driver = self._driver, None
        if driver is not None:
            _OPEN.discard(self)
            await driver.close()

    @property
    def free(self) -> int:
        """How many more sessions get a connection at once."""
        return max(self._settings.pool_size - self.used, 0)

    @contextlib.asynccontextmanager
    async def session(
        self, access: str = neo4j.WRITE_ACCESS, fetch_size: int = 1000
    ) -> AsyncGenerator[AsyncSession]:
        """A session in the platform's database. Raises `Unavailable` when not open, and for a while
        after the server refused the login."""
        if self._driver is None:
            raise Unavailable("graph_closed", "the graph is not open: start it, or try again later")
        self._login.begin()
        session = self._driver.session(  # pyright: ignore[reportUnknownMemberType]
            database=self._settings.name,
            default_access_mode=access,
            bookmark_manager=self._bookmarks,
            fetch_size=fetch_size,
        )
        self.used += 1
        try:
            async with session:
                yield session
        except Neo4jError as error:
            self._login.failed(error)
            raise
        finally:
            self.used -= 1
        self._login.worked()

    async def read(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float,
        limit: int | None = None,
        access: str = neo4j.READ_ACCESS,
    ) -> tuple[list[Row], ResultSummary]:
        """At most `limit` rows of a statement that only reads, and what the server says of it.
        `access` decides which server of a cluster answers: only the one that writes has the latest.

        Raises `Rejected`, also beyond the deadline, which waiting for a turn is no part of;
        `Unavailable`, also where the server says nothing at all until then.
        """
        async with self._turn():
            for _ in range(OVERTAKEN_TIMES):
                with contextlib.suppress(Overtaken):
                    return await self._read(statement, parameters, seconds, limit, access)
            return await self._read(statement, parameters, seconds, limit, access)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(POOL_SECONDS):
                await self._readers.acquire()
        except TimeoutError:
            reason = "all connections for reading were busy: repeat in a while"
            raise Unavailable("graph_busy", reason, retry_after=1) from None
        try:
            yield
        finally:
            self._readers.release()

    async def _read(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        seconds: float,
        limit: int | None,
        access: str,
    ) -> tuple[list[Row], ResultSummary]:
        fetch_size = -1 if limit is None else max(limit, 1)
        question = Query(cast("Any", statement), timeout=seconds)
        answered = False
        with reading_errors(seconds, lambda: answered):
            # The server looks at its clock every few seconds only. Who waits no longer cuts the
            # connection, which ends the statement too.
            async with asyncio.timeout(seconds), self.session(access, fetch_size) as session:
                result = await session.run(question, to_driver(dict(parameters)))
                answered = True
                names = result.keys()
                records = (
                    [record async for record in result]
                    if limit is None
                    else (await result.fetch(limit))
                )
                summary = await result.consume()
            if summary.query_type not in {None, "r"}:
                raise read_errors.would_write()
            return [row(names, record) for record in records], summary

    async def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of one statement that changes the schema or maintains the graph, in a
        transaction of its own that takes as long as it takes. The driver's errors come as they
        are."""
        async with self.session() as session:
            result = await session.run(cast("Any", statement), dict(parameters or {}))
            names = result.keys()
            return [row(names, record) async for record in result]

    async def change_schema(self, statement: str) -> None:
        """Run a statement that is harmless to repeat: `… IF NOT EXISTS` fails all the same when
        another process does just that, and then finds it done."""
        try:
            await self.run(statement)
        except Neo4jError:
            await self.run(statement)


_OPEN: set[Connection] = set()
GRAPH_CONNECTIONS.follow(lambda: sum(one.used for one in [*_OPEN]), "used")
GRAPH_CONNECTIONS.follow(lambda: sum(one.free for one in [*_OPEN]), "free")
