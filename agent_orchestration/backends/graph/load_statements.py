"""The statements that read entities, receipts and tenants back from the graph."""

from functools import cache

from agent_orchestration.core.entities import Entity, Relationship

_UNION = " UNION ALL "


@cache
def live(entities: tuple[type[Entity], ...]) -> str:
    """All live nodes of a tenant `{label, id, props}`, and their relationships
    `{label, id, props, type, target}`: one statement, for on a slow network it is the way there and
    back that costs."""
    arms: list[str] = []
    for cls in entities:
        match, where = f"MATCH (n:{cls.LABEL} {{tenant: $tenant}})", f" WHERE {cls.LIVE}"
        arms += [_nodes(match, cls, where), *_links(match, cls, where)]
    return _UNION.join(arms)


@cache
def nodes_by_id(entity: type[Entity]) -> str:
    """The nodes with `$ids`, as `live` answers them."""
    return _nodes(_by_id(entity), entity, "")


@cache
def links_by_id(entity: type[Entity]) -> str:
    """The relationships of the nodes with `$ids`, as `live` answers them; "" where there are none.
    Only for nodes that are there: the embedded graph looks for all others, too."""
    return _UNION.join(_links(_by_id(entity), entity, ""))


def _by_id(entity: type[Entity]) -> str:
    return f"UNWIND $ids AS wanted MATCH (n:{entity.LABEL} {{id: wanted}})"


def _nodes(match: str, entity: type[Entity], where: str) -> str:
    return (
        f"{match}{where} RETURN '{entity.LABEL}' AS label, n.id AS id, properties(n) AS props,"
        " null AS type, null AS target"
    )


def _links(match: str, entity: type[Entity], where: str) -> list[str]:
    return [
        f"{match}{_arrow(relationship)}{where} RETURN '{entity.LABEL}' AS label, n.id AS id,"
        f" properties(r) AS props, '{relationship.type}' AS type, m.id AS target"
        for relationship in entity.RELATIONSHIPS
    ]


def _arrow(relationship: Relationship) -> str:
    end = f"(m:{relationship.to})"
    if relationship.reverse:
        return f"<-[r:{relationship.type}]-{end}"
    return f"-[r:{relationship.type}]->{end}"


TENANT = "MATCH (n:Tenant {id: $tenant}) RETURN properties(n) AS row"

TENANTS = """
MATCH (n:Tenant)
RETURN n.id AS id, n.seq AS seq, n.prev AS prev, n.quarantined AS quarantined,
  n.left_out AS left_out, n.command_epoch AS command_epoch, n.command_offset AS command_offset"""

QUARANTINED = """
MATCH (n:Tenant) WHERE n.quarantined IS NOT NULL
RETURN n.id AS id, n.seq AS seq, n.quarantined AS reason, n.quarantined_offset AS offset
ORDER BY id"""

DUE_TENANTS = "MATCH (n:Tenant) WHERE n.next_due IS NOT NULL RETURN n.id AS id"

READY_TENANTS = """
MATCH (t:Task) WHERE t.status = 'ready'
RETURN DISTINCT t.tenant AS tenant"""

TENANT_SEQ = "MATCH (n:Tenant {id: $tenant}) RETURN n.seq AS seq"

RECENT_RECEIPTS = """
MATCH (e:Event {tenant: $tenant}) WHERE e.at > $since
RETURN e.receipt_key AS key, e.seq AS seq, e.at AS at, e.body_hash AS body_hash, e.data AS data
ORDER BY seq"""

RECEIPTS_BY_KEY = """
UNWIND $keys AS wanted MATCH (e:Event {receipt_key: wanted}) WHERE e.tenant = $tenant
RETURN e.receipt_key AS key, e.seq AS seq, e.at AS at, e.body_hash AS body_hash, e.data AS data
ORDER BY seq"""

DIGESTS = "UNWIND $ids AS id MATCH (e:Event {id: id}) RETURN e.id AS id, e.digest AS digest"
