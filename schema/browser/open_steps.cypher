// open_steps: The open tasks with a label, those after an id; in the place of a plan's tasks the plan.
:param tenant => "default";
:param after_id => "";
:param label => "?";
:param limit => 100;
MATCH (t:Task {tenant: $tenant})
WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] AND $label IN t.labels
OPTIONAL MATCH (t)-[:SUBTASK_OF]->(p:Task)
WITH DISTINCT coalesce(p.id, t.id) AS id WHERE id > $after_id
RETURN id
ORDER BY id LIMIT $limit;
