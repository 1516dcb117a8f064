// task: One task with what it requires, what it waits for and who waits for it.
:param tenant => "default";
:param task_id => "?";
MATCH (t:Task {id: $task_id})
WHERE t.tenant = $tenant
OPTIONAL MATCH (t)-[s:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.description AS description, t.status AS status, t.priority AS priority,
       t.labels AS labels, t.reason AS reason, t.attempt AS attempt, t.max_attempts AS max_attempts,
       a.id AS agent_id, t.lease_seconds AS lease_seconds, t.lease_until AS lease_until, t.retry_at AS retry_at,
       t.created_at AS created_at, t.created_by AS created_by, t.started_at AS started_at, t.finished_at AS finished_at,
       t.payload AS payload, t.progress AS progress, t.result AS result, t.error AS error, t.error_type AS error_type,
       t.waiting_on AS waiting_on, coalesce(t.children, 0) AS children, coalesce(t.open_children, 0) AS open_children, coalesce(t.failed_children, 0) AS failed_children,
       [(t)-[:SUBTASK_OF]->(p:Task) | p.id] AS parent_ids, [(t)<-[:WORKS_ON]-(m:Team) | m.id] AS team_ids,
       [(t)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(t)-[d:DEPENDS_ON]->(o:Task) | {task_id: o.id, on_failure: d.on_failure, status: o.status}] AS depends_on,
       [(t)<-[:DEPENDS_ON]-(w:Task) | w.id] AS dependent_ids;
