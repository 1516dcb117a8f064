// open_steps: The open tasks with a label; in the place of a plan's tasks the plan.
:param tenant => "default";
:param label => "?";
:param limit => 100;
MATCH (t:Task {tenant: $tenant})
WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] AND $label IN t.labels
OPTIONAL MATCH (t)-[:SUBTASK_OF]->(p:Task)
RETURN DISTINCT coalesce(p.id, t.id) AS id
ORDER BY id LIMIT $limit;
