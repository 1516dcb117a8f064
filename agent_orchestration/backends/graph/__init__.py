"""The graph: nodes and relationships written one transaction per batch, read with Cypher."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Corrupt, PlatformError

Position = tuple[int, int]


class CheckpointMoved(PlatformError):
    """Another writer committed for this partition: what the caller holds is out of date."""

    kind = "checkpoint_moved"


class WriteRefused(PlatformError):
    """The graph will never accept these rows (not a passing failure): find the poison."""

    kind = "write_refused"


class GraphUnreadable(Corrupt):
    """The stored graph cannot be opened; it can be set aside and rebuilt from the log."""


LinkKey = tuple[str, str, str]
"""(relationship type, label it starts from, label it leads to)."""


class GraphWrite(msgspec.Struct):
    """One batch of changes to one partition's part of the graph.

    `nodes`: label -> rows, each with its `id`; a row replaces all properties of its node.
    `new_nodes`: the same for nodes that cannot exist yet: `WriteRefused` where one does.
    `removed`: label -> ids of nodes to delete with their relationships.
    `links`: key -> rows `{"from", "to", "props"}`; props replace those of the relationship.
    `new_links`: the same for relationships that cannot exist yet, which need not be looked for.
    `unlinks`: key -> rows `{"from", "to"}`, found from where they start.
    `unlinks_at_end`: the same, found from where they lead to: a start may have very many.
    `held` is the position the writer believes in, `next` the one to store; both (epoch, offset).
    `published`: up to where events are in the feeds, to be stored too; None leaves it as it is.
    """

    partition: int
    held: Position | None
    next: Position
    nodes: dict[str, list[Row]] = msgspec.field(default_factory=dict[str, list[Row]])
    new_nodes: dict[str, list[Row]] = msgspec.field(default_factory=dict[str, list[Row]])
    removed: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])
    links: dict[LinkKey, list[Row]] = msgspec.field(default_factory=dict[LinkKey, list[Row]])
    new_links: dict[LinkKey, list[Row]] = msgspec.field(default_factory=dict[LinkKey, list[Row]])
    unlinks: dict[LinkKey, list[Row]] = msgspec.field(default_factory=dict[LinkKey, list[Row]])
    unlinks_at_end: dict[LinkKey, list[Row]] = msgspec.field(
        default_factory=dict[LinkKey, list[Row]]
    )
    published: Position | None = None


class Graph(Protocol):
    """The protocol of every graph."""

    async def start(self) -> None:
        """Open the graph and apply its constraints and indexes. Raises `GraphUnreadable`."""
        ...

    async def stop(self) -> None:
        """Close the graph."""
        ...

    async def write(self, write: GraphWrite) -> None:
        """One transaction: lock and compare the partition's Checkpoint node (`CheckpointMoved`),
        then nodes before relationships, then the new position. `WriteRefused` when the graph will
        never take it, `Unavailable` when it may later."""
        ...

    async def position(self, partition: int) -> Position | None:
        """The stored position of a partition."""
        ...

    async def published(self, partition: int) -> Position | None:
        """Up to where the partition's events are in the feeds, as stored last."""
        ...

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        """Rows of a read-only statement, datetimes aware; nodes and relationships as maps. Raises
        `Rejected` for a statement that fails or passes its limits, `Unavailable` without graph.

        What was committed before it began is there. Where the engine takes no snapshot (Neo4j), a
        batch that is committed meanwhile may be seen in part."""
        ...

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        """Whether the engine's plan of the statement only reads the graph. Raises like `query`."""
        ...
