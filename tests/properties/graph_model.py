"""A `Graph` in dicts that knows the loading statements by their text, and a reader of the log
that folds events into a graph in batches of any size, some of them twice."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import (
    CheckpointMoved,
    Graph,
    GraphWrite,
    LinkKey,
    Position,
    load_statements,
)
from agent_orchestration.core.entities import Entity, Row, shape_of
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.folding import Folded, fold, tenant_row
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.loading import load_entities, load_tenant
from agent_orchestration.pipeline.rows import BatchRows

Answer = Callable[[Mapping[str, Any]], list[Row]]


class GraphModel:
    """Nodes by label and id, relationships by kind and ends. `shuffle` puts rows in the order in
    which entities and their relationships are told."""

    def __init__(self) -> None:
        self.shuffle: Callable[[list[Row]], None] = lambda _rows: None
        self.nodes: defaultdict[str, dict[str, Row]] = defaultdict(dict)
        self.links: defaultdict[LinkKey, dict[tuple[str, str], Row]] = defaultdict(dict)
        self.positions: dict[int, Position] = {}
        self.feeds: dict[int, Position] = {}
        self._answers: dict[str, Answer] = {
            load_statements.TENANT: lambda p: self._rows("Tenant", [p["tenant"]]),
            load_statements.TENANT_SEQ: self._tenant_seq,
            load_statements.RECENT_RECEIPTS: lambda p: self._receipts(
                lambda row: row["tenant"] == p["tenant"] and row["at"] > p["since"]
            ),
            load_statements.RECEIPTS_BY_KEY: lambda p: self._receipts(
                lambda row: row["tenant"] == p["tenant"] and row["receipt_key"] in p["keys"]
            ),
        }
        entities = tuple(REGISTRY.entities.values())
        self._answers[load_statements.live(entities)] = lambda p: self._all_live(p["tenant"])
        for cls in entities:
            self._declare(cls)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def clear(self) -> None:
        self.nodes.clear()
        self.links.clear()
        self.positions.clear()
        self.feeds.clear()

    async def position(self, partition: int) -> Position | None:
        return self.positions.get(partition)

    async def published(self, partition: int) -> Position | None:
        return self.feeds.get(partition)

    async def write(self, write: GraphWrite) -> None:
        if self.positions.get(write.partition) != write.held:
            raise CheckpointMoved("moved", "another writer")
        for label, rows in write.new_nodes.items():
            assert not self.nodes[label].keys() & {row["id"] for row in rows}
        for label, rows in (*write.nodes.items(), *write.new_nodes.items()):
            self.nodes[label].update({row["id"]: dict(row) for row in rows})
        for key, rows in (*write.unlinks.items(), *write.unlinks_at_end.items()):
            for row in rows:
                self.links[key].pop((row["from"], row["to"]), None)
        for key, rows in write.new_links.items():
            assert not self.links[key].keys() & {(row["from"], row["to"]) for row in rows}
        for (kind, start, end), rows in (*write.links.items(), *write.new_links.items()):
            for row in rows:
                assert row["from"] in self.nodes[start]
                assert row["to"] in self.nodes[end]
                self.links[kind, start, end][row["from"], row["to"]] = dict(row["props"])
        self.positions[write.partition] = write.next
        if write.published is not None:
            self.feeds[write.partition] = write.published

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        return self._answers[statement](parameters)

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        return statement in self._answers

    def _declare(self, cls: type[Entity]) -> None:
        nodes, links = load_statements.nodes_by_id(cls), load_statements.links_by_id(cls)
        self._answers[nodes] = lambda p: self._nodes(cls, p["ids"])
        self._answers[links] = lambda p: self._links(cls, p["ids"])

    def _all_live(self, tenant: str) -> list[Row]:
        return [
            row
            for cls in REGISTRY.entities.values()
            for find in (self._nodes, self._links)
            for row in find(cls, self._live(cls, tenant))
        ]

    def _nodes(self, cls: type[Entity], ids: Sequence[str]) -> list[Row]:
        nodes = self.nodes[cls.LABEL]
        rows: list[Row] = [
            {"label": cls.LABEL, "id": one, "props": dict(nodes[one]), "type": None}
            for one in ids
            if one in nodes
        ]
        self.shuffle(rows)
        return rows

    def _links(self, cls: type[Entity], ids: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        for relationship in cls.RELATIONSHIPS:
            start, end = cls.LABEL, relationship.to
            if relationship.reverse:
                start, end = end, start
            here, there = (1, 0) if relationship.reverse else (0, 1)
            rows += [
                {
                    "label": cls.LABEL,
                    "id": link[here],
                    "props": dict(props),
                    "type": relationship.type,
                    "target": link[there],
                }
                for link, props in self.links[relationship.type, start, end].items()
                if link[here] in ids
            ]
        self.shuffle(rows)
        return rows

    def _live(self, cls: type[Entity], tenant: str) -> list[str]:
        if cls.LIVE == "false":
            return []  # nor can all of them be loaded without their relationships
        shape, rows = shape_of(cls), self.nodes[cls.LABEL].values()
        its = [row for row in rows if row["tenant"] == tenant]
        return [row["id"] for row in its if shape.load(tenant, row, {}).is_live()]

    def _rows(self, label: str, ids: Sequence[str]) -> list[Row]:
        nodes = self.nodes[label]
        rows: list[Row] = [{"row": dict(nodes[one])} for one in ids if one in nodes]
        self.shuffle(rows)
        return rows

    def _tenant_seq(self, parameters: Mapping[str, Any]) -> list[Row]:
        return [{"seq": f["row"]["seq"]} for f in self._rows("Tenant", [parameters["tenant"]])]

    def _receipts(self, wanted: Callable[[Row], bool]) -> list[Row]:
        names = ("seq", "at", "body_hash", "data")
        return [
            {"key": row["receipt_key"], **{name: row[name] for name in names}}
            for row in sorted(self.nodes["Event"].values(), key=lambda row: row["seq"])
            if wanted(row)
        ]


class Batch(msgspec.Struct, frozen=True):
    """How the log is read: so many new events, after so many old ones; some come once more at the
    end. A reader that restarts forgets what it had in memory."""

    size: int = 1
    overlap: int = 0
    twice: int = 0
    restart: bool = False


class Reader:
    """Folds one tenant's history into a graph as the projector does."""

    def __init__(self, graph: Graph, tenant: str) -> None:
        self._graph = graph
        self._tenant = tenant
        self._state: TenantState | None = None

    async def read(self, history: Sequence[EventEnvelope], plan: Sequence[Batch]) -> None:
        """The whole history, batch by batch, the plan over and over."""
        place = number = 0
        while place < len(history):
            batch = plan[number % len(plan)]
            number += 1
            if batch.restart:
                self._state = None
            events = history[max(place - batch.overlap, 0) : place + batch.size]
            place += batch.size
            await self._fold([*events, *events[len(events) - batch.twice :]])

    async def _fold(self, events: Sequence[EventEnvelope]) -> None:
        state = self._state or await load_tenant(self._graph, REGISTRY, self._tenant)
        self._state = state
        folded: list[Folded] = [
            fold(REGISTRY, state, envelope) for envelope in events if envelope.seq > state.seq
        ]
        rows = BatchRows()
        list(rows.add(state.tenant, folded))
        held = await self._graph.position(0)
        write = rows.write(0, held, (1, (held or (1, 0))[1] + len(events)))
        write.nodes["Tenant"] = [tenant_row(state, next_due(state))]
        await self._graph.write(write)
        for one in folded:
            for cls, entity_id in one.touched:
                state.evict(cls, entity_id)


async def everything(graph: Graph, like: TenantState) -> TenantState:
    """The tenant loaded from the graph, with every finished entity of another state as well."""
    state = await load_tenant(graph, REGISTRY, like.tenant)
    wanted = [(cls, one.id) for cls in REGISTRY.entities.values() for one in like.all(cls)]
    await load_entities(graph, state, wanted)
    return state
