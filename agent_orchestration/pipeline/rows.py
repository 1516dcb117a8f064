"""From what a batch touched to the rows of one graph transaction, coalesced per entity."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from agent_orchestration.backends.graph import GraphWrite, LinkKey, Position
from agent_orchestration.core.entities import Entity, Relationship, Row, node_id, shape_of
from agent_orchestration.core.folding import Folded, TouchedKey, event_row
from agent_orchestration.core.state import Touched


class BatchRows:
    """Collects the rows of several tenants' events."""

    def __init__(self) -> None:
        self._nodes: defaultdict[str, list[Row]] = defaultdict(list)
        self._new_nodes: defaultdict[str, list[Row]] = defaultdict(list)
        self._links: defaultdict[LinkKey, list[Row]] = defaultdict(list)
        self._new_links: defaultdict[LinkKey, list[Row]] = defaultdict(list)
        self._unlinks: defaultdict[LinkKey, list[Row]] = defaultdict(list)
        self._unlinks_at_end: defaultdict[LinkKey, list[Row]] = defaultdict(list)

    def add(self, tenant: str, folded: Iterable[Folded]) -> Iterator[None]:
        """What these events of one tenant changed, compared to before the first of them: a step for
        each event and each entity, so that others get their turn meanwhile."""
        first: dict[TouchedKey, Touched] = {}
        for one in folded:
            yield self._add_event(one)
            for key, touched in one.touched.items():
                first.setdefault(key, touched)
        for (cls, _), touched in first.items():
            yield self._add_entity(tenant, cls, touched)

    def write(self, partition: int, held: Position | None, following: Position) -> GraphWrite:
        """The transaction."""
        return GraphWrite(
            partition,
            held,
            following,
            nodes=dict(self._nodes),
            new_nodes=dict(self._new_nodes),
            links=dict(self._links),
            new_links=dict(self._new_links),
            unlinks=dict(self._unlinks),
            unlinks_at_end=dict(self._unlinks_at_end),
        )

    def _add_entity(self, tenant: str, cls: type[Entity], touched: Touched) -> None:
        shape = shape_of(cls)
        row = shape.row(tenant, touched.entity)
        before = touched.before
        (self._new_nodes if before is None else self._nodes)[cls.LABEL].append(row)
        for index, relationship in enumerate(cls.RELATIONSHIPS):
            now = getattr(touched.entity, relationship.field)
            was = None if before is None else getattr(before, relationship.field)
            if now is was or not (now or was):
                continue
            old = shape.links(tenant, index, was)
            new = shape.links(tenant, index, now)
            ends = _ends(relationship, cls)
            here, there = ("to", "from") if relationship.reverse else ("from", "to")
            (self._new_links if before is None else self._links)[ends] += [
                {here: row["id"], there: target, "props": properties}
                for target, properties in new.items()
                if old.get(target) != properties
            ]
            (self._unlinks_at_end if relationship.reverse else self._unlinks)[ends] += [
                {here: row["id"], there: target} for target in old if target not in new
            ]

    def _add_event(self, folded: Folded) -> None:
        row = event_row(folded)
        self._new_nodes["Event"].append(row)
        for cls, entity_id in folded.touched:
            target = node_id(folded.envelope.tenant, entity_id)
            self._new_links["ABOUT", "Event", cls.LABEL].append(
                {"from": row["id"], "to": target, "props": {}}
            )
        cause = folded.envelope.causation or ""
        tenant, _, seq = cause.rpartition(":")
        if tenant == folded.envelope.tenant and seq.isdigit():
            self._new_links["CAUSED_BY", "Event", "Event"].append(
                {"from": row["id"], "to": node_id(tenant, seq), "props": {}}
            )


def _ends(relationship: Relationship, holder: type[Entity]) -> LinkKey:
    if relationship.reverse:
        return relationship.type, relationship.to, holder.LABEL
    return relationship.type, holder.LABEL, relationship.to
