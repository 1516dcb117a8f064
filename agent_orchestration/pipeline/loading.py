"""Loading a tenant's state from the graph."""

from collections import defaultdict
from collections.abc import Iterable

from agent_orchestration.backends.graph import Graph, load_statements
from agent_orchestration.core.entities import (
    Entity,
    Link,
    Row,
    entity_id,
    node_id,
    shape_of,
    to_datetime,
    to_milliseconds,
)
from agent_orchestration.core.folding import check_rules
from agent_orchestration.core.module import Registry
from agent_orchestration.core.state import COMMAND_MEMORY_MS, Receipt, TenantState
from agent_orchestration.core.types import json_value

LOAD_SECONDS = 120.0


async def load_tenant(
    graph: Graph, registry: Registry, tenant: str, *, decides: bool = True
) -> TenantState:
    """The tenant's live entities, clock and recent receipts, all as of one `seq`; without receipts
    and the indexes of decisions where it does not decide.

    Another writer may commit while we read: then the clock differs before and after, and we
    read again. Raises `Corrupt` if the tenant needs newer rules than this program has.
    """
    while True:
        state = registry.new_state(tenant, decides=decides)
        await load_clock(graph, state)
        entities = tuple(registry.entities.values())
        rows = await graph.query(
            load_statements.live(entities), {"tenant": tenant}, seconds=LOAD_SECONDS
        )
        _put(state, entities, rows)
        if decides:
            await _load_receipts(graph, state)
        if await graph_seq(graph, tenant) == state.seq:
            break
    check_rules(tenant, state.rules)
    return state


async def load_entities(
    graph: Graph, state: TenantState, wanted: Iterable[tuple[type[Entity], str]]
) -> list[tuple[type[Entity], str]]:
    """Load those entities that are not in memory; the others are newer there.

    Answers what was loaded: it is not live, and may leave memory again when done.
    """
    missing: dict[type[Entity], list[str]] = defaultdict(list)
    for cls, wanted_id in wanted:
        if not state.has(cls, wanted_id):
            missing[cls].append(node_id(state.tenant, wanted_id))
    loaded: list[tuple[type[Entity], str]] = []
    for cls, ids in missing.items():
        asked = {"ids": sorted(set(ids))}
        rows = await graph.query(load_statements.nodes_by_id(cls), asked, seconds=LOAD_SECONDS)
        if not rows:
            continue
        if links := load_statements.links_by_id(cls):
            rows += await graph.query(links, asked, seconds=LOAD_SECONDS)
        loaded += [(cls, found) for found in _put(state, (cls,), rows)]
    return loaded


async def load_receipts(graph: Graph, state: TenantState, keys: Iterable[str]) -> int:
    """Load the receipts of client keys that are not in memory; how many there were."""
    wanted = sorted({key for key in keys if key not in state.receipts})
    if not wanted:
        return 0
    parameters = {"tenant": state.tenant, "keys": wanted}
    rows = await graph.query(load_statements.RECEIPTS_BY_KEY, parameters)
    _remember(state, rows)
    return len(rows)


async def graph_seq(graph: Graph, tenant: str) -> int:
    """The tenant's `seq` in the graph."""
    rows = await graph.query(load_statements.TENANT_SEQ, {"tenant": tenant})
    return rows[0]["seq"] if rows else 0


async def load_clock(graph: Graph, state: TenantState) -> None:
    """The tenant's clock alone: `seq`, time, rules, position, whether it is quarantined, and
    what is left out."""
    rows = await graph.query(load_statements.TENANT, {"tenant": state.tenant})
    if rows:
        row = rows[0]["row"]
        state.seq = row["seq"]
        state.prev = row["prev"]
        state.at = to_milliseconds(row["at"])
        state.rules = row["rules"]
        state.position = (row["command_epoch"], row["command_offset"])
        state.quarantined = row.get("quarantined") or ""
        state.left_out = frozenset(row.get("left_out") or ())


def _put(state: TenantState, classes: Iterable[type[Entity]], rows: list[Row]) -> list[str]:
    """Load what `load_statements` answered; the ids of the entities."""
    nodes: dict[str, list[Row]] = defaultdict(list)
    links: dict[tuple[str, str], dict[str, list[Link]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["type"] is None:
            nodes[row["label"]].append(row["props"])
        else:
            its = links[row["label"], row["id"]]
            its[row["type"]].append((row["target"], row["props"]))
    loaded: list[str] = []
    for cls in classes:
        shape = shape_of(cls)
        for node in nodes[cls.LABEL]:
            state.load(shape.load(state.tenant, node, links.get((cls.LABEL, node["id"]), {})))
            loaded.append(entity_id(state.tenant, node["id"]))
    return loaded


async def _load_receipts(graph: Graph, state: TenantState) -> None:
    since = to_datetime(max(state.at - COMMAND_MEMORY_MS, 0))
    parameters = {"tenant": state.tenant, "since": since}
    statement = load_statements.RECENT_RECEIPTS
    _remember(state, await graph.query(statement, parameters, seconds=LOAD_SECONDS))


def _remember(state: TenantState, rows: list[Row]) -> None:
    for row in rows:
        at = to_milliseconds(row["at"])
        receipt = Receipt(row["seq"], at, row["body_hash"], json_value(row["data"]))
        state.remember(row["key"], receipt)
