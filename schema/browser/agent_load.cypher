// agent_load: How much each agent holds, has done, and how often it failed.
:param tenant => "default";
MATCH (a:Agent {tenant: $tenant})
RETURN a.id AS id, a.status AS status, a.active AS active, a.max_concurrency AS max_concurrency,
       COUNT { (a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status = 'completed' } AS completed,
       COUNT { (a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status = 'failed' } AS failed
ORDER BY completed DESC, id LIMIT 100;
