"""The generated files of `schema/`: what the platform writes, for people and other programs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import schema_statements
from agent_orchestration.backends.graph.migrations import next_migration, packaged_migrations
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.module import INSTANT, REQUIRED, TYPES, Query
from agent_orchestration.pipeline import topology
from agent_orchestration.workers.plan_file import plan_schema


def schema_files() -> Mapping[str, str]:
    """File name -> content."""
    declared = schema_statements.schema(REGISTRY.entities.values())
    return {
        **_migrations(declared),
        **{f"browser/{name}.cypher": saved(query) for name, query in REGISTRY.queries.items()},
        "topology.txt": topology.describe(REGISTRY),
        "graph.cypher": _statements(declared.values()),
        "events.json": _json(_events()),
        "plan.schema.json": _json(plan_schema()),
    }


def _migrations(declared: Mapping[str, str]) -> dict[str, str]:
    """Those that there are, and the one that is missing where the declarations have changed."""
    found = packaged_migrations()
    missing = next_migration(found, declared)
    files = [one.files() for one in (*found, *([missing] if missing else ()))]
    return {f"migrations/{name}": text for both in files for name, text in both.items()}


def saved(query: Query) -> str:
    """A named question as Neo4j Browser keeps it: its parameters, those to fill in with a `?`."""
    values = {"tenant": DEFAULT_TENANT, **query.parameters}
    shown = {
        name: _to_fill_in(name) if value is REQUIRED else json.dumps(value)
        for name, value in values.items()
    }
    lines = [f":param {name} => {text};" for name, text in shown.items()]
    return "\n".join([f"// {query.name}: {query.sentence}", *lines, f"{query.statement};\n"])


def _to_fill_in(parameter: str) -> str:
    kind = TYPES.get(parameter)
    if kind is None:
        return '"?"'
    if kind == INSTANT:
        return 'datetime("2026-01-31T12:00:00Z")'
    return '["?"]' if kind == list[str] else "{}"


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
