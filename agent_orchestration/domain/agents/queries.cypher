// agent: One agent with its capabilities and the tasks it holds.
MATCH (a:Agent {id: $agent_id})
WHERE a.tenant = $tenant
RETURN a.id AS id, a.name AS name, a.kind AS kind, a.status AS status, a.labels AS labels,
       a.max_concurrency AS max_concurrency, a.active AS active, a.heartbeat_seconds AS heartbeat_seconds,
       coalesce(a.dedicated, false) AS dedicated,
       a.template_id AS template_name, a.version AS version, [(a)-[:MEMBER_OF]->(m:Team) | m.id] AS team_ids,
       a.registered_at AS registered_at, a.seen_at AS seen_at, coalesce(a.circuit_breaker_state, 'closed') AS circuit_breaker_state,
       [(a)-[h:HAS_CAPABILITY]->(c:Capability) | {name: c.name, level: h.level}] AS capabilities,
       [(a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status IN ['assigned', 'running'] | t.id] AS task_ids

// agents: Agents in order of id, by status, kind or label.
MATCH (a:Agent {tenant: $tenant})
WHERE a.id > $after_id AND ($status IS NULL OR a.status = $status) AND ($kind IS NULL OR a.kind = $kind)
  AND ($label IS NULL OR $label IN a.labels)
RETURN a.id AS id, a.name AS name, a.kind AS kind, a.status AS status, a.labels AS labels,
       a.max_concurrency AS max_concurrency, a.active AS active, a.heartbeat_seconds AS heartbeat_seconds,
       coalesce(a.dedicated, false) AS dedicated,
       a.template_id AS template_name, a.version AS version, [(a)-[:MEMBER_OF]->(m:Team) | m.id] AS team_ids,
       a.registered_at AS registered_at, a.seen_at AS seen_at, coalesce(a.circuit_breaker_state, 'closed') AS circuit_breaker_state,
       [(a)-[h:HAS_CAPABILITY]->(c:Capability) | {name: c.name, level: h.level}] AS capabilities,
       [(a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status IN ['assigned', 'running'] | t.id] AS task_ids
ORDER BY id LIMIT $limit

// capable_agents: Agents that have all the named capabilities at the required levels, best first.
MATCH (a:Agent {tenant: $tenant})-[h:HAS_CAPABILITY]->(c:Capability)
WHERE c.name IN $names AND a.status <> 'retired' AND (NOT $available OR (a.status IN ['idle', 'busy'] AND a.active < a.max_concurrency))
WITH a, collect({name: c.name, level: h.level}) AS found, sum(h.level) AS total
WHERE all(name IN $names WHERE any(f IN found WHERE f.name = name AND f.level >= $levels[name]))
RETURN a.id AS id, a.name AS name, a.kind AS kind, a.status AS status, a.labels AS labels,
       a.max_concurrency AS max_concurrency, a.active AS active, a.heartbeat_seconds AS heartbeat_seconds,
       coalesce(a.dedicated, false) AS dedicated,
       a.template_id AS template_name, a.version AS version, [(a)-[:MEMBER_OF]->(m:Team) | m.id] AS team_ids,
       a.registered_at AS registered_at, a.seen_at AS seen_at, coalesce(a.circuit_breaker_state, 'closed') AS circuit_breaker_state, total AS total,
       [(a)-[h:HAS_CAPABILITY]->(c:Capability) | {name: c.name, level: h.level}] AS capabilities,
       [(a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status IN ['assigned', 'running'] | t.id] AS task_ids
ORDER BY total DESC, active, id LIMIT $limit

// agent_load: How much each agent holds, has done, and how often it failed.
MATCH (a:Agent {tenant: $tenant})
RETURN a.id AS id, a.status AS status, a.active AS active, a.max_concurrency AS max_concurrency,
       COUNT { (a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status = 'completed' } AS completed,
       COUNT { (a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status = 'failed' } AS failed
ORDER BY completed DESC, id LIMIT 100

// circuit_breakers: Agents whose service's circuit breaker is not closed, in order of id.
MATCH (a:Agent {tenant: $tenant})
WHERE a.id > $after_id AND a.circuit_breaker_state IS NOT NULL
RETURN a.id AS id, a.name AS name, a.status AS status, a.circuit_breaker_state AS state,
       a.circuit_breaker_service AS service
ORDER BY id LIMIT $limit
