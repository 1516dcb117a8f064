"""The driver's values as those of the platform, and back.

node          {"_labels": [label, …], …properties}
relationship  {"_type": type, …properties}
path          {"nodes": [node, …], "relationships": [relationship, …]}
datetime      aware, in UTC
duration      ISO 8601 text
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from neo4j.graph import Node, Path, Relationship
from neo4j.time import Date, DateTime, Duration, Time

from agent_orchestration.core.entities import Row

_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


def from_driver(value: Any) -> Any:
    """A value of a result."""
    kind = cast("type[Any]", type(value))
    if kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [from_driver(one) for one in value]
    if kind is dict:
        return _properties(value)
    if kind is DateTime:
        moment = value.to_native()
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, Node):
        return {"_labels": sorted(value.labels), **_properties(value)}
    if isinstance(value, Relationship):
        return {"_type": value.type, **_properties(value)}
    if isinstance(value, Path):
        return {
            "nodes": [from_driver(one) for one in value.nodes],
            "relationships": [from_driver(one) for one in value.relationships],
        }
    if isinstance(value, Date | Time):
        return value.to_native()
    return value.iso_format() if isinstance(value, Duration) else value


def to_driver(value: Any) -> Any:
    """A parameter. Times go in UTC: to Neo4j, an instant in two time zones is two values."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {k: to_driver(one) for k, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [to_driver(one) for one in cast("list[Any]", value)]
    return value


def row(names: Iterable[str], values: Iterable[Any]) -> Row:
    """One row of a result."""
    return {name: from_driver(value) for name, value in zip(names, values, strict=True)}


def _properties(found: Mapping[str, Any]) -> Row:
    return {name: from_driver(value) for name, value in found.items()}
