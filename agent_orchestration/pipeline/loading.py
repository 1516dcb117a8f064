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
        for entity in registry.entities.values():
            await _load_live(graph, state, entity)
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
        parameters = {"ids": sorted(set(ids))}
        statement = load_statements.nodes_by_id(cls)
        rows = await graph.query(statement, parameters, seconds=LOAD_SECONDS)
        if rows:
            links: list[tuple[str, list[Row]]] = []
            for relationship in cls.RELATIONSHIPS:
                statement = load_statements.links_by_id(cls, relationship)
                found = await graph.query(statement, parameters, seconds=LOAD_SECONDS)
                links.append((relationship.type, found))
            _put(state, cls, rows, links)
            loaded += [(cls, entity_id(state.tenant, found["row"]["id"])) for found in rows]
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


async def _load_live(graph: Graph, state: TenantState, entity: type[Entity]) -> None:
    parameters = {"tenant": state.tenant}
    statement = load_statements.live_nodes(entity)
    rows = await graph.query(statement, parameters, seconds=LOAD_SECONDS)
    links: list[tuple[str, list[Row]]] = []
    for relationship in entity.RELATIONSHIPS:
        statement = load_statements.live_links(entity, relationship)
        found = await graph.query(statement, parameters, seconds=LOAD_SECONDS)
        links.append((relationship.type, found))
    _put(state, entity, rows, links)


def _put(
    state: TenantState, cls: type[Entity], rows: list[Row], links: list[tuple[str, list[Row]]]
) -> None:
    by_node: dict[str, dict[str, list[Link]]] = defaultdict(lambda: defaultdict(list))
    for relationship, found in links:
        for link in found:
            by_node[link["id"]][relationship].append((link["target"], link["props"]))
    shape = shape_of(cls)
    for found in rows:
        row = found["row"]
        state.load(shape.load(state.tenant, row, by_node.get(row["id"], {})))


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
