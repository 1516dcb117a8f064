// unstaffed_tasks: Open tasks that require a capability no agent has at that level.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})-[r:REQUIRES]->(c:Capability)
WHERE t.status IN ['blocked', 'ready']
  AND NOT EXISTS { MATCH (c)<-[h:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' AND h.level >= r.level }
RETURN t.id AS id, t.title AS title, t.status AS status, collect(c.name) AS unstaffed
ORDER BY id LIMIT 100;
