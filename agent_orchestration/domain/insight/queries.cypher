// history: What happened in the tenant, the oldest first.
MATCH (e:Event {tenant: $tenant})
WHERE e.seq > $after AND ($type IS NULL OR e.type = $type) AND ($actor IS NULL OR e.actor = $actor)
RETURN e.seq AS seq, e.type AS type, e.at AS at, e.actor AS actor, e.data AS data
ORDER BY seq LIMIT $limit

// history_of_task: What happened to one task, the oldest first.
MATCH (e:Event)-[:ABOUT]->(t:Task {id: $task_id})
WHERE t.tenant = $tenant AND e.seq > $after AND ($type IS NULL OR e.type = $type) AND ($actor IS NULL OR e.actor = $actor)
RETURN e.seq AS seq, e.type AS type, e.at AS at, e.actor AS actor, e.data AS data
ORDER BY seq LIMIT $limit

// history_of_agent: What happened to one agent, the oldest first.
MATCH (e:Event)-[:ABOUT]->(a:Agent {id: $agent_id})
WHERE a.tenant = $tenant AND e.seq > $after AND ($type IS NULL OR e.type = $type) AND ($actor IS NULL OR e.actor = $actor)
RETURN e.seq AS seq, e.type AS type, e.at AS at, e.actor AS actor, e.data AS data
ORDER BY seq LIMIT $limit

// first_event_since: The number of the first event at or after an instant.
MATCH (e:Event {tenant: $tenant})
WHERE e.at >= $since
WITH min(e.seq) AS seq
WHERE seq IS NOT NULL
RETURN seq AS seq

// agents_by_status: How many agents are idle, busy, draining, offline and retired.
MATCH (a:Agent {tenant: $tenant})
RETURN a.status AS status, count(a) AS agents
ORDER BY status

// tasks_by_status: How many tasks are in each status.
MATCH (t:Task {tenant: $tenant})
RETURN t.status AS status, count(t) AS tasks
ORDER BY status

// last_failures: The tasks that failed last.
MATCH (t:Task {tenant: $tenant})
WHERE t.status = 'failed'
RETURN t.id AS id, t.title AS title, t.error_type AS error_type, t.error AS error, t.finished_at AS finished_at
ORDER BY finished_at DESC, id LIMIT 20
