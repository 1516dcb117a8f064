"""Damage to a graph behind the platform's back, on either engine: what, where, and how."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent_orchestration.backends.graph import Graph, load_statements, statements
from agent_orchestration.backends.graph.contents import Key, labels
from agent_orchestration.core.entities import Entity

Execute = Callable[[str, dict[str, Any]], Awaitable[object]]
Found = tuple[str, str, str]
"""(what, label, id) of a `Difference`."""

CHANGE = "MATCH (n:{0} {{id: $id}}) SET n.{1} = $value"
FORGET = "MATCH (n:{0} {{id: $id}}) REMOVE n.tenant"
INVENT = "MATCH (n:{0} {{id: $id}}) SET n.invented = 'x'"
DELETE = "MATCH (n:{0} {{id: $id}}) DETACH DELETE n"
CREATE = "CREATE (n:{0} {{id: $id, tenant: 'default', title: 'invented'}})"
UNLINK = "MATCH (n:{0} {{id: $id}})-[r:{1}]->(m:{2} {{id: $target}}) DELETE r"
AGAIN = "MATCH (n:{0} {{id: $id}})-[:{1}]->(m:{2} {{id: $target}}) CREATE (n)-[:{1}]->(m)"
RELABEL = "MATCH (n:{0} {{id: $id}})-[r:{1}]->(m:{2} {{id: $target}}) SET r.invented = 1"
LINKS = (
    "MATCH (n:{0})-[r]->(m) RETURN n.id AS id, type(r) AS type, labels(m)[0] AS label,"
    " m.id AS target"
)


async def corrupt(
    graph: Graph, execute: Execute, entities: Sequence[type[Entity]], number: int, seed: int
) -> set[Found]:
    """Damage so many things, no two of them near each other; answers what should be found."""
    chance = random.Random(seed)
    nodes: list[Key] = []
    links: list[tuple[str, str, str, str, str]] = []
    for label in labels(entities):
        parameters = {"after": "", "limit": 100_000}
        rows = await graph.query(statements.node_ids(label), parameters, seconds=60)
        nodes += [(label, row["id"]) for row in rows]
        found = await graph.query(LINKS.format(label), {}, seconds=60)
        links += [(label, row["id"], row["type"], row["label"], row["target"]) for row in found]
    planted: set[Found] = set()
    used: set[str] = set()
    while len(planted) < number:
        if chance.random() < 0.5:
            label, node = chance.choice(nodes)
            if node in used:
                continue
            used.add(node)
            planted.add(await _damage_node(execute, chance, label, node))
        else:
            label, node, kind, end, target = chance.choice(links)
            if node in used or target in used:
                continue
            used |= {node, target}
            text = chance.choice([UNLINK, AGAIN, RELABEL])
            await execute(text.format(label, kind, end), {"id": node, "target": target})
            planted.add(("relationship", label, node))
    return planted


async def _damage_node(execute: Execute, chance: random.Random, label: str, node: str) -> Found:
    what = chance.choice(["changed", "forgotten", "invented", "missing", "extra"])
    if what == "missing":
        await execute(DELETE.format(label), {"id": node})
        return "missing", label, node
    if what == "extra":
        await execute(CREATE.format(label), {"id": f"{node}.invented"})
        return "extra", label, f"{node}.invented"
    if what == "forgotten":
        await execute(FORGET.format(label), {"id": node})
    elif what == "invented":
        await execute(INVENT.format(label), {"id": node})
    else:
        await execute(CHANGE.format(label, "tenant"), {"id": node, "value": "nobody"})
    return "changed", label, node


async def seqs(graph: Graph) -> dict[str, int]:
    """How far each tenant is."""
    return {row["id"]: row["seq"] for row in await graph.query(load_statements.TENANTS, {})}
