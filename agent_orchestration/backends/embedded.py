"""The backends of a process that needs nothing installed: files in one folder."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agent_orchestration.backends.backups import opened_backups
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.graph import GraphUnreadable
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.archive import opened
from agent_orchestration.backends.log.archived import with_archive
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.config import Config
from agent_orchestration.core.entities import Entity

logger = logging.getLogger(__name__)


class EmbeddedBackends:
    """`Backends` in the data folder: `log.sqlite` (the truth), `graph.kgl` (made from it) and
    `blobs/`.

    `clock` gives milliseconds since the epoch, which the log stamps on its records.
    """

    def __init__(
        self,
        config: Config,
        topics: Iterable[Topic],
        entities: Sequence[type[Entity]],
        clock: Callable[[], int],
    ) -> None:
        self._folder = folder = config.data
        self._clock = clock
        self.blobs = FolderBlobs(folder / "blobs")
        self.archive = opened(config.archive)
        self.backups = opened_backups(config.backups, entities)
        log = SqliteLog(folder / "log.sqlite", topics, clock)
        self.log = ClaimCheckLog(with_archive(log, self.archive), self.blobs)
        self.graph = KgliteGraph(folder / "graph.kgl", entities)
        self.other_graphs = OtherGraphs(config, entities)

    async def start(self) -> None:
        """Open log and graph. A graph that cannot be read is set aside, to be made again from the
        log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        await self.log.start()
        try:
            await self.graph.start()
        except GraphUnreadable as error:
            aside = self._set_aside()
            logger.warning("the graph is unreadable and made anew (kept as %s): %s", aside, error)
            await self.graph.start()

    async def stop(self) -> None:
        """Close graph and log."""
        await self.graph.stop()
        await self.log.stop()

    def _set_aside(self) -> Path:
        """Rename the graph's files; answers the new name of the main one."""
        stamp = self._clock()
        for path in sorted(self._folder.glob("graph.kgl*")):
            path.rename(path.with_name(f"unreadable-{stamp}-{path.name}"))
        return self._folder / f"unreadable-{stamp}-graph.kgl"
