// plan_tasks: The tasks of a plan in order of id, with who holds or held each.
:param tenant => "default";
:param after_id => "";
:param limit => 100;
:param plan_id => "?";
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND t.id > $after_id
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.attempt AS attempt, a.id AS agent_id, t.reason AS reason
ORDER BY id LIMIT $limit;
