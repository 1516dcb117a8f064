"""The doors to the outside: log, graph and blobs, each a protocol with its implementations."""

from typing import Protocol

from agent_orchestration.backends.backups import Backups
from agent_orchestration.backends.blobs import BlobStore
from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.archive import Archive
from agent_orchestration.backends.other_graphs import OtherGraphs


class Backends(Protocol):
    """A log, a graph and a blob store that belong together."""

    @property
    def log(self) -> Log:
        """Where commands and events are."""
        ...

    @property
    def graph(self) -> Graph:
        """What is made from the events."""
        ...

    @property
    def blobs(self) -> BlobStore:
        """What is too large for a record."""
        ...

    @property
    def archive(self) -> Archive | None:
        """Where old events are kept, if the settings name a place."""
        ...

    @property
    def backups(self) -> Backups | None:
        """Where backups of the graph are kept, if the settings name a place."""
        ...

    @property
    def other_graphs(self) -> OtherGraphs:
        """Graphs beside it."""
        ...

    async def start(self) -> None:
        """Open them all."""
        ...

    async def stop(self) -> None:
        """Close them, whatever `start` did."""
        ...
