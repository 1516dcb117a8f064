// task_statuses: The statuses of some tasks by id.
:param tenant => "default";
:param ids => ["?"];
UNWIND $ids AS wanted
MATCH (t:Task {id: wanted})
WHERE t.tenant = $tenant
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.priority AS priority, t.attempt AS attempt,
       t.reason AS reason, a.id AS agent_id, t.waiting_on AS waiting_on, t.created_at AS created_at;
