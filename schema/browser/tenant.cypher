// tenant: How far the tenant's history goes, and under which version of the rules it goes on.
:param tenant => "default";
MATCH (n:Tenant {id: $tenant})
RETURN n.seq AS seq, n.at AS at, n.rules AS rules, n.quarantined AS quarantined;
