"""The backends that several processes share: Kafka, Neo4j, and a folder that all of them see."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent_orchestration.backends.backups import opened_backups
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.archive import opened
from agent_orchestration.backends.log.archived import with_archive
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.config import Config
from agent_orchestration.core.entities import Entity


class KafkaNeo4jBackends:
    """`Backends` on the cluster and the server that the settings name.

    `rules` is the version of the rules that this process knows, as other members see it.
    """

    def __init__(
        self, config: Config, topics: Iterable[Topic], entities: Sequence[type[Entity]], rules: int
    ) -> None:
        self.blobs = FolderBlobs(config.blobs or Path(config.data) / "blobs")
        production = config.environment == "production"
        self.archive = opened(config.archive)
        self.backups = opened_backups(config.backups, entities)
        log = KafkaLog(config.kafka, topics, production=production, rules=rules)
        self.log = ClaimCheckLog(with_archive(log, self.archive), self.blobs)
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
