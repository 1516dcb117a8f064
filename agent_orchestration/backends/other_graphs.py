"""Graphs beside the one that everybody reads: embedded ones for a while, and other servers."""

import asyncio
import shutil
from collections.abc import Iterable

from pydantic import ValidationError

from agent_orchestration.backends.graph import Graph, GraphUnreadable
from agent_orchestration.config import Config, Database
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import Rejected

FOLDER = "scratch"
FILE = "graph.kgl"


class OtherGraphs:
    """Embedded graphs in subfolders of `scratch/` in the data folder, which may be deleted whenever
    nobody uses them, and graphs on Neo4j servers with the user and password of the settings."""

    def __init__(self, config: Config, entities: Iterable[type[Entity]]) -> None:
        self._folder = config.data / FOLDER
        self._database = config.database
        self._entities = tuple(entities)

    async def open_scratch(self, name: str) -> Graph:
        """The embedded graph of that name, as it was left or empty. Raises `Unavailable` while
        another process has it open."""
        # The engines are imported for those who use them: each takes a while.
        from agent_orchestration.backends.graph.kglite import KgliteGraph  # noqa: PLC0415

        graph = KgliteGraph(self._folder / name / FILE, self._entities)
        try:
            await graph.start()
        except GraphUnreadable:
            self.remove_scratch(name)
            await graph.start()
        return graph

    async def copy_scratch(self, source: str, target: str) -> None:
        """Copy the embedded graph of one name to another one; nobody may have them open."""
        await asyncio.to_thread(shutil.copytree, self._folder / source, self._folder / target)

    def remove_scratch(self, name: str) -> None:
        """Delete it, if there is one; nobody may have it open."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def on_server(self, uri: str) -> Graph:
        """The graph on a Neo4j server, not started. Raises `Rejected` for an address that is none,
        and without a password."""
        from agent_orchestration.backends.graph.neo4j import Neo4jGraph  # noqa: PLC0415

        if self._database.password is None:
            raise Rejected(
                "no_password", "uri: set NEO4J_PASSWORD, the other server's", field="uri"
            )
        try:
            settings = Database.model_validate({**dict(self._database), "uri": uri})
        except ValidationError as error:
            reason = f"uri: {error.errors()[0]['msg']}; give one like bolt://localhost:7688"
            raise Rejected("invalid_uri", reason, field="uri") from None
        return Neo4jGraph(settings, self._entities)
