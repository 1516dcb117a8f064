"""The statements that read entities, receipts and tenants back from the graph."""

from functools import cache

from agent_orchestration.core.entities import Entity, Relationship


@cache
def live_nodes(entity: type[Entity]) -> str:
    """All live nodes of a tenant: `{row}`."""
    return (
        f"MATCH (n:{entity.LABEL} {{tenant: $tenant}}) WHERE {entity.LIVE}"
        " RETURN properties(n) AS row"
    )


@cache
def nodes_by_id(entity: type[Entity]) -> str:
    """The nodes with `$ids`: `{row}`."""
    return (
        f"UNWIND $ids AS wanted MATCH (n:{entity.LABEL} {{id: wanted}}) RETURN properties(n) AS row"
    )


@cache
def live_links(entity: type[Entity], relationship: Relationship) -> str:
    """The relationships of all live nodes of a tenant: `{id, target, props}`."""
    return (
        f"MATCH (n:{entity.LABEL} {{tenant: $tenant}}){_arrow(relationship)}"
        f" WHERE {entity.LIVE}"
        " RETURN n.id AS id, m.id AS target, properties(r) AS props"
    )


@cache
def links_by_id(entity: type[Entity], relationship: Relationship) -> str:
    """The relationships of the nodes with `$ids`: `{id, target, props}`."""
    return (
        f"UNWIND $ids AS wanted MATCH (n:{entity.LABEL} {{id: wanted}})"
        f"{_arrow(relationship)}"
        " RETURN n.id AS id, m.id AS target, properties(r) AS props"
    )


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
