// plan_failures: The tasks of a plan that failed or were cancelled, with why, the earliest first.
:param tenant => "default";
:param plan_id => "?";
MATCH (p:Task {id: $plan_id})<-[:SUBTASK_OF]-(t:Task)
WHERE p.tenant = $tenant AND t.status IN ['failed', 'cancelled']
RETURN t.id AS id, t.title AS title, t.status AS status, t.error_type AS error_type, t.error AS error,
       t.reason AS reason, t.finished_at AS finished_at
ORDER BY finished_at, id LIMIT 100;
