"""The backends that several processes share: Kafka, Neo4j, and a folder that all of them see."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent_orchestration.backends.backups import opened_backups
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.archive import Archive, opened
from agent_orchestration.backends.log.archived import with_archive
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.config import Config
from agent_orchestration.core.entities import Entity


def blobs_of(config: Config) -> FolderBlobs:
    """The folder for what is too large for the log."""
    return FolderBlobs(config.blobs or Path(config.data) / "blobs")


def log_of(
    config: Config,
    topics: Iterable[Topic],
    rules: int,
    parts: tuple[Archive | None, FolderBlobs],
) -> ClaimCheckLog:
    """The log on the cluster that the settings name, not started, with what the archive and the
    blobs have of it."""
    archive, blobs = parts
    production = config.environment == "production"
    log = KafkaLog(config.kafka, topics, production=production, rules=rules)
    return ClaimCheckLog(with_archive(log, archive), blobs)


class KafkaNeo4jBackends:
    """`Backends` on the cluster and the server that the settings name.

    `rules` is the version of the rules that this process knows, as other members see it.
    """

    def __init__(
        self, config: Config, topics: Iterable[Topic], entities: Sequence[type[Entity]], rules: int
    ) -> None:
        self.blobs = blobs_of(config)
        self.archive = opened(config.archive)
        self.backups = opened_backups(config.backups, entities)
        self.log = log_of(config, topics, rules, (self.archive, self.blobs))
        self.graph = Neo4jGraph(config.database, entities)
        self.other_graphs = OtherGraphs(config, entities)

    async def start(self) -> None:
        """Connect to both. Raises `Unavailable`, and `Rejected` where topics are missing."""
        await self.log.start()
        await self.graph.start()

    async def stop(self) -> None:
        """Disconnect from both."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.log.stop)
            stack.push_async_callback(self.graph.stop)
