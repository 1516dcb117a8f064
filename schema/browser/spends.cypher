// spends: Calls to models in order of id, by status (reserved, settled, unconfirmed or released) and by task, its subtasks included.
:param tenant => "default";
:param after_id => "";
:param limit => 100;
:param status => null;
:param task_id => null;
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_BY]->(a:Agent)
WHERE s.id > $after_id AND ($status IS NULL OR s.status = $status)
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN s.id AS id, t.id AS task_id, a.id AS agent_id, s.attempt AS attempt, s.model AS model, s.status AS status,
       s.reserved_micros AS reserved_micros, s.cost_micros AS cost_micros, s.overrun_micros AS overrun_micros,
       s.at AS at
ORDER BY id LIMIT $limit;
