// artifacts: Artifacts in order of id, by task, its subtasks included, or by agent.
:param tenant => "default";
:param after_id => "";
:param agent_id => null;
:param limit => 100;
:param task_id => null;
MATCH (t:Task)-[:PRODUCED]->(f:Artifact {tenant: $tenant})-[:PRODUCED_BY]->(a:Agent)
WHERE f.id > $after_id AND ($agent_id IS NULL OR a.id = $agent_id)
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN f.id AS id, t.id AS task_id, a.id AS agent_id, f.attempt AS attempt, f.name AS name,
       f.media_type AS media_type, f.size AS size, f.sha256 AS sha256, f.created_at AS created_at
ORDER BY id LIMIT $limit;
