"""The form of kglite's nodes and relationships outside this package, the same as Neo4j's.

    node          {"_labels": [label], …properties}
    relationship  {"_type": type, …properties}
    path          {"nodes": [node, …], "relationships": [relationship, …]}

kglite shows every node with properties that nobody stored: `type`, `node_type` and `label` are
its label, `title` and `name` stand in for each other. Of a whole node, what its declaration does
not have is left out here. In `properties(n)`, `n {.*}` and `n.title` they cannot be told from
stored ones: named questions return whole nodes or properties that are declared.
"""

import re
from collections.abc import Iterable
from typing import Any, cast, get_args, get_type_hints

from agent_orchestration.backends.graph import WriteRefused
from agent_orchestration.core.entities import Entity, Row, shape_of

MIRRORED = frozenset({"title", "name"})
LABEL_NAMES = frozenset({"type", "node_type", "label"})
VIRTUAL = MIRRORED | LABEL_NAMES

#: A plan may consist of these; all only read the graph. kglite does not show what is inside
#: subqueries and the later arms of a UNION.
_READING = re.compile(
    r"CallSubquery|Expand|Limit|Match|OptimizerPass|OptionalMatch|OrderBy|Return|Skip|Union|Unwind"
    r"|Where|With|FusedChain(?:DistinctCount|GroupedPathCount|PathCount)|FusedMatchReturnAggregate"
    r"|FusedCount(?:All|AllEdges|AnchoredEdges|ByType|EdgesByType|LabelUnion|TypedEdge|TypedNode)"
    r"|FusedMatchWithAggregate|FusedNodeScanAggregate|FusedNodeScanTopK|FusedOptionalMatchAggregate"
    r"|FusedOrderByTopK"
)

_NODE = frozenset({"id", "labels", "properties"})
_RELATIONSHIP = frozenset({"id", "start", "end", "type", "properties"})


class VirtualProperties:
    """Which of kglite's virtual properties are real, by label.

    Raises `TypeError` for an entity whose absent properties could not be told from present ones.
    """

    def __init__(self, entities: Iterable[type[Entity]]) -> None:
        self._virtual: dict[str, frozenset[str]] = {"Event": VIRTUAL - {"type"}}
        for entity in entities:
            self._virtual[entity.LABEL] = VIRTUAL - _declared(entity)

    def check_rows(self, label: str, rows: Iterable[Row]) -> None:
        """Raise `WriteRefused` for a property that would be lost among the virtual ones."""
        virtual = self._virtual.get(label, VIRTUAL)
        for row in rows:
            if not virtual.isdisjoint(row):
                names = ", ".join(sorted(virtual & row.keys()))
                raise WriteRefused(
                    "undeclared", f"{label} has no declared property {names}", field=names
                )

    def canonical(self, value: Any) -> Any:
        """A value of a result with every node, relationship and path in it in our form."""
        if isinstance(value, dict):
            return self._mapping(cast("Row", value))
        if isinstance(value, list):
            return [self.canonical(one) for one in cast("list[Any]", value)]
        return value

    def _mapping(self, value: Row) -> Row:
        if value.keys() == _NODE:
            label = value["labels"][0]
            virtual = self._virtual.get(label, VIRTUAL)
            stored = {k: v for k, v in value["properties"].items() if k not in virtual}
            return {"_labels": value["labels"], **stored}
        if value.keys() == _RELATIONSHIP:
            return {"_type": value["type"], **value["properties"]}
        return {key: self.canonical(one) for key, one in value.items()}


def only_reads(operations: Iterable[str]) -> bool:
    """Whether a plan consists of operators that only read."""
    return all(_READING.fullmatch(operation.partition(" ")[0]) for operation in operations)


def _declared(entity: type[Entity]) -> frozenset[str]:
    """The virtual names that the entity declares for itself."""
    hints = get_type_hints(entity)
    fields = {field.name for field in shape_of(entity).fields}
    optional = {name for name in fields if type(None) in get_args(hints[name])}
    declared = VIRTUAL & (fields | set(entity.DERIVED))
    ambiguous = optional & LABEL_NAMES
    if declared >= MIRRORED:
        ambiguous |= optional & MIRRORED
    if ambiguous:
        raise TypeError(
            f"{entity.__name__}: {', '.join(sorted(ambiguous))} must not be optional:"
            " kglite shows another property in its place"
        )
    return declared
