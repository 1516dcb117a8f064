// plan_frontier: The tasks of a plan where something can happen next, or where it is stuck: those that are held, then the ready ones, then those that wait for another attempt or for good.
:param tenant => "default";
:param plan_id => "?";
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND (t.status IN ['running', 'assigned', 'ready']
  OR (t.status = 'blocked' AND (t.retry_at IS NOT NULL OR t.reason IS NOT NULL)))
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.attempt AS attempt, t.reason AS reason,
       a.id AS agent_id, t.lease_until AS lease_until, t.retry_at AS retry_at,
       CASE t.status WHEN 'running' THEN 0 WHEN 'assigned' THEN 1 WHEN 'ready' THEN 2 ELSE 3 END AS place
ORDER BY place, id LIMIT 20;
