// blocking_tasks: Unfinished tasks by how many others wait for them directly.
:param tenant => "default";
MATCH (w:Task {tenant: $tenant})-[:DEPENDS_ON]->(t:Task)
WHERE t.status <> 'completed' AND w.status = 'blocked'
RETURN t.id AS id, t.title AS title, t.status AS status, count(w) AS waiting
ORDER BY waiting DESC, id LIMIT 50;
