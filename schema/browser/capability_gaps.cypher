// capability_gaps: Capabilities that open tasks require and no agent has at the required level.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})-[r:REQUIRES]->(c:Capability)
WHERE t.status IN ['blocked', 'ready']
  AND NOT EXISTS { MATCH (c)<-[h:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' AND h.level >= r.level }
RETURN c.name AS name, max(r.level) AS level, count(t) AS open_tasks
ORDER BY open_tasks DESC, name LIMIT 100;
