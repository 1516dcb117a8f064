// task: One task with what it requires, what it waits for and who waits for it. Its properties are taken as one map: the embedded engine looks for each one that is absent.
:param tenant => "default";
:param task_id => "?";
MATCH (t:Task {id: $task_id})
WHERE t.tenant = $tenant
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
WITH t, a, properties(t) AS task
RETURN task.id AS id, task.title AS title, task.description AS description, task.status AS status, task.priority AS priority,
       task.labels AS labels, task.reason AS reason, task.attempt AS attempt, task.max_attempts AS max_attempts, task.given_back AS given_back,
       a.id AS agent_id, task.lease_seconds AS lease_seconds, task.lease_until AS lease_until, task.retry_at AS retry_at,
       task.created_at AS created_at, task.created_by AS created_by, task.started_at AS started_at, task.finished_at AS finished_at,
       task.correlation AS correlation,
       task.payload AS payload, task.progress AS progress, task.result AS result, task.error AS error, task.error_type AS error_type,
       task.traceparent AS traceparent,
       task.waiting_on AS waiting_on, coalesce(task.children, 0) AS children, coalesce(task.open_children, 0) AS open_children,
       coalesce(task.failed_children, 0) AS failed_children,
       [(t)-[:SUBTASK_OF]->(p:Task) | p.id] AS parent_ids, [(t)<-[:WORKS_ON]-(m:Team) | m.id] AS team_ids,
       [(t)-[:MEANT_FOR]->(f:Agent) | f.id] AS meant_fors,
       [(t)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(t)-[d:DEPENDS_ON]->(o:Task) | {task_id: o.id, on_failure: d.on_failure, status: o.status}] AS depends_on,
       [(t)<-[:DEPENDS_ON]-(w:Task) | w.id] AS dependent_ids;
