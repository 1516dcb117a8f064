"""An installation with its log on Kafka and everything else in a folder."""

from pathlib import Path
from typing import Generic, TypeVar

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.backups import Backups
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.log.archive import Archive
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.backends.other_graphs import OtherGraphs
from agent_orchestration.config import Config

L = TypeVar("L", bound=ClaimCheckLog)


class KafkaBackends(Generic[L]):
    """A `Backends`; `kind` is the class of the log around `raw`."""

    def __init__(self, raw: KafkaLog, folder: Path, kind: type[L]) -> None:
        self.raw = raw
        self.archive: Archive | None = None
        self.backups: Backups | None = None
        self.blobs = FolderBlobs(folder / "blobs")
        self.log = kind(raw, self.blobs)
        self.graph = KgliteGraph(folder / "graph" / "graph.kgl", REGISTRY.entities.values())
        self.other_graphs = OtherGraphs(Config(data=folder), REGISTRY.entities.values())

    async def start(self) -> None:
        await self.log.start()
        await self.graph.start()

    async def stop(self) -> None:
        await self.graph.stop()
        await self.log.stop()
