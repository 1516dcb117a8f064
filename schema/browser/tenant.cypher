// tenant: How far the tenant's history goes.
:param tenant => "default";
MATCH (n:Tenant {id: $tenant})
RETURN n.seq AS seq, n.at AS at, n.quarantined AS quarantined;
