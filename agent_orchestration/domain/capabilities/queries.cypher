// capabilities: Capabilities by name, with how many agents have them and how many open tasks need them.
MATCH (c:Capability {tenant: $tenant})
WHERE c.name > $after_name AND ($category IS NULL OR c.category = $category)
RETURN c.name AS name, c.category AS category, c.description AS description,
       COUNT { (c)<-[:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' } AS agents,
       COUNT { (c)<-[:REQUIRES]-(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks
ORDER BY name LIMIT $limit

// capability_gaps: Capabilities that open tasks require and no agent has at the required level.
MATCH (t:Task {tenant: $tenant})-[r:REQUIRES]->(c:Capability)
WHERE t.status IN ['blocked', 'ready']
  AND NOT EXISTS { MATCH (c)<-[h:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' AND h.level >= r.level }
RETURN c.name AS name, max(r.level) AS level, count(t) AS open_tasks
ORDER BY open_tasks DESC, name LIMIT 100
