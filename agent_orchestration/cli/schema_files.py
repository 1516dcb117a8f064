"""The generated files of `schema/`: what the platform writes, for people and other programs."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import statements
from agent_orchestration.pipeline import topology
from agent_orchestration.workers.plan_file import plan_schema


def schema_files() -> Mapping[str, str]:
    """File name -> content."""
    return {
        "topology.txt": topology.describe(REGISTRY),
        "graph.cypher": _statements(statements.schema(REGISTRY.entities.values()).values()),
        "events.json": _json(_events()),
        "plan.schema.json": _json(plan_schema()),
    }


def _statements(lines: Iterable[str]) -> str:
    return "".join(f"{line};\n" for line in lines)


def _events() -> dict[str, Any]:
    """JSON Schemas of the event bodies as they are written now, by type."""
    names = sorted(REGISTRY.events)
    schemas, components = msgspec.json.schema_components([REGISTRY.events[n] for n in names])
    return {
        "events": {
            name: {"version": REGISTRY.events[name].VERSION, **schema}
            for name, schema in zip(names, schemas, strict=True)
        },
        "$defs": components,
    }


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
