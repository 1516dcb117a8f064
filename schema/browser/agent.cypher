// agent: One agent with its capabilities and the tasks it holds.
:param tenant => "default";
:param agent_id => "?";
MATCH (a:Agent {id: $agent_id})
WHERE a.tenant = $tenant
RETURN a.id AS id, a.name AS name, a.kind AS kind, a.status AS status, a.labels AS labels,
       a.max_concurrency AS max_concurrency, a.active AS active, a.heartbeat_seconds AS heartbeat_seconds,
       coalesce(a.dedicated, false) AS dedicated,
       a.template_id AS template_name, a.version AS version, [(a)-[:MEMBER_OF]->(m:Team) | m.id] AS team_ids,
       a.registered_at AS registered_at, a.seen_at AS seen_at, coalesce(a.circuit_breaker_state, 'closed') AS circuit_breaker_state,
       [(a)-[h:HAS_CAPABILITY]->(c:Capability) | {name: c.name, level: h.level}] AS capabilities,
       [(a)<-[:ASSIGNED_TO]-(t:Task) WHERE t.status IN ['assigned', 'running'] | t.id] AS task_ids;
