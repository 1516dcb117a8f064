// plan_tasks: The tasks of a plan in order of id, with who holds or held each.
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND t.id > $after_id
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.attempt AS attempt, a.id AS agent_id, t.reason AS reason
ORDER BY id LIMIT $limit

// plan_failures: The tasks of a plan that failed or were cancelled, with why, the earliest first.
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND t.status IN ['failed', 'cancelled']
RETURN t.id AS id, t.title AS title, t.status AS status, t.error_type AS error_type, t.error AS error,
       t.reason AS reason, t.finished_at AS finished_at
ORDER BY finished_at, id LIMIT 100

// plan_progress: How many tasks of a plan there are in each status.
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant
RETURN t.status AS status, count(t) AS tasks
ORDER BY tasks DESC, status

// plan_frontier: The tasks of a plan where something can happen next, or where it is stuck: those
// that are held, then the ready ones, then those that wait for another attempt or for good.
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND (t.status IN ['running', 'assigned', 'ready']
  OR (t.status = 'blocked' AND (t.retry_at IS NOT NULL OR t.reason IS NOT NULL)))
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.attempt AS attempt, t.reason AS reason,
       a.id AS agent_id, t.lease_until AS lease_until, t.retry_at AS retry_at,
       CASE t.status WHEN 'running' THEN 0 WHEN 'assigned' THEN 1 WHEN 'ready' THEN 2 ELSE 3 END AS place
ORDER BY place, id LIMIT 20

// plan_waits: The unfinished tasks outside of a plan that its blocked tasks wait for.
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)-[:DEPENDS_ON]->(o:Task)
WHERE p.tenant = $tenant AND t.status = 'blocked' AND o.status IN ['blocked', 'ready', 'assigned', 'running']
  AND NOT EXISTS { (o)-[:SUBTASK_OF]->(p) }
RETURN DISTINCT o.id AS id, o.title AS title, o.status AS status, o.reason AS reason
ORDER BY id LIMIT 20
