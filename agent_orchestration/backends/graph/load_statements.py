"""The statements that read entities, receipts and tenants back from the graph."""

from functools import cache

from agent_orchestration.core.entities import Entity, Relationship


@cache
def live(entities: tuple[type[Entity], ...]) -> str:
    """All live nodes of a tenant, and their relationships, as `_with_links` answers them."""
    return _UNION.join(
        _with_links(f"MATCH (n:{cls.LABEL} {{tenant: $tenant}})", cls, f" WHERE {cls.LIVE}")
        for cls in entities
    )


@cache
def by_id(entity: type[Entity]) -> str:
    """The nodes with `$ids`, and their relationships, as `_with_links` answers them."""
    return _with_links(f"UNWIND $ids AS wanted MATCH (n:{entity.LABEL} {{id: wanted}})", entity, "")


_UNION = " UNION ALL "


def _with_links(match: str, entity: type[Entity], where: str) -> str:
    """One statement, for on a slow network the way there and back is what it costs. For each node
    `{label, id, props}`, and for each of its relationships `{label, id, props, type, target}`."""
    answer = f"RETURN '{entity.LABEL}' AS label, n.id AS id"
    nodes = f"{match}{where} {answer}, properties(n) AS props, null AS type, null AS target"
    links = (
        f"{match}{_arrow(relationship)}{where} {answer}, properties(r) AS props,"
        f" '{relationship.type}' AS type, m.id AS target"
        for relationship in entity.RELATIONSHIPS
    )
    return _UNION.join((nodes, *links))


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
