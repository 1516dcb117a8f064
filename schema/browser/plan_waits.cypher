// plan_waits: The unfinished tasks outside of a plan that its blocked tasks wait for.
:param tenant => "default";
:param plan_id => "?";
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)-[:DEPENDS_ON]->(o:Task)
WHERE p.tenant = $tenant AND t.status = 'blocked' AND o.status IN ['blocked', 'ready', 'assigned', 'running']
  AND NOT EXISTS { (o)-[:SUBTASK_OF]->(p) }
RETURN DISTINCT o.id AS id, o.title AS title, o.status AS status, o.reason AS reason
ORDER BY id LIMIT 20;
