// task: One task with what it requires, what it waits for and who waits for it.
// Its properties are taken as one map: the embedded engine looks for each one that is absent.
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
       [(t)<-[:DEPENDS_ON]-(w:Task) | w.id] AS dependent_ids

// tasks: Tasks in order of id, by status, assigned agent, required capability or label.
MATCH (t:Task {tenant: $tenant})
WHERE t.id > $after_id AND ($status IS NULL OR t.status = $status) AND ($label IS NULL OR $label IN t.labels)
  AND ($agent_id IS NULL OR EXISTS { (t)-[:ASSIGNED_TO]->(:Agent {id: $agent_id}) })
  AND ($parent_id IS NULL OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $parent_id}) })
  AND ($team_id IS NULL OR EXISTS { (t)<-[:WORKS_ON]-(:Team {id: $team_id}) })
  AND ($capability IS NULL OR EXISTS { (t)-[:REQUIRES]->(:Capability {name: $capability}) })
WITH t.id AS id ORDER BY id LIMIT $limit
MATCH (t:Task {id: id})
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.priority AS priority, t.attempt AS attempt,
       t.reason AS reason, a.id AS agent_id, t.waiting_on AS waiting_on, t.created_at AS created_at
ORDER BY id

// task_statuses: The statuses of some tasks by id.
UNWIND $ids AS wanted
MATCH (t:Task {id: wanted})
WHERE t.tenant = $tenant
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.priority AS priority, t.attempt AS attempt,
       t.reason AS reason, a.id AS agent_id, t.waiting_on AS waiting_on, t.created_at AS created_at

// unfinished_dependencies: What some tasks wait for, one step away; ask again with the ids that were found for more.
UNWIND $ids AS wanted
MATCH (t:Task {id: wanted})-[:DEPENDS_ON]->(o:Task)
WHERE t.tenant = $tenant AND o.status <> 'completed'
RETURN DISTINCT o.id AS id, o.title AS title, o.status AS status, o.reason AS reason
ORDER BY id LIMIT 1000

// unstaffed_tasks: Open tasks that require a capability no agent has at that level.
MATCH (t:Task {tenant: $tenant})-[r:REQUIRES]->(c:Capability)
WHERE t.status IN ['blocked', 'ready']
  AND NOT EXISTS { MATCH (c)<-[h:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' AND h.level >= r.level }
RETURN t.id AS id, t.title AS title, t.status AS status, collect(c.name) AS unstaffed
ORDER BY id LIMIT 100

// blocking_tasks: Unfinished tasks by how many others wait for them directly.
MATCH (w:Task {tenant: $tenant})-[:DEPENDS_ON]->(t:Task)
WHERE t.status <> 'completed' AND w.status = 'blocked'
RETURN t.id AS id, t.title AS title, t.status AS status, count(w) AS waiting
ORDER BY waiting DESC, id LIMIT 50

// longest_running: Tasks that are being worked on, the longest first.
MATCH (t:Task {tenant: $tenant})-[:ASSIGNED_TO]->(a:Agent)
WHERE t.status IN ['assigned', 'running']
RETURN t.id AS id, t.title AS title, a.id AS agent_id, t.attempt AS attempt, t.started_at AS started_at,
       t.lease_until AS lease_until
ORDER BY started_at, id LIMIT 50

// plans: Plans with their progress, the newest first.
MATCH (t:Task {tenant: $tenant})
WHERE t.children > 0
RETURN t.id AS id, t.title AS title, t.status AS status, coalesce(t.children, 0) AS children, coalesce(t.open_children, 0) AS open_children,
       coalesce(t.failed_children, 0) AS failed_children, t.created_at AS created_at
ORDER BY created_at DESC, id LIMIT 50

// open_steps: The open tasks with a label, those after an id; in the place of a plan's tasks the plan.
MATCH (t:Task {tenant: $tenant})
WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] AND $label IN t.labels
OPTIONAL MATCH (t)-[:SUBTASK_OF]->(p:Task)
WITH DISTINCT coalesce(p.id, t.id) AS id WHERE id > $after_id
RETURN id
ORDER BY id LIMIT $limit

// coordinations: The tasks, by id, whose open steps bear their id in the label `coordination`.
MATCH (t:Task {tenant: $tenant})
WHERE t.status IN ['blocked', 'ready', 'assigned', 'running']
UNWIND t.labels AS label
WITH label WHERE label STARTS WITH 'coordination=' AND substring(label, 13) > $after_name
RETURN DISTINCT substring(label, 13) AS name
ORDER BY name LIMIT $limit
