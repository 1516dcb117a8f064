// plan_progress: How many tasks of a plan there are in each status.
:param tenant => "default";
:param plan_id => "?";
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant
RETURN t.status AS status, count(t) AS tasks
ORDER BY tasks DESC, status;
