// agents: Agents in order of id, by status, kind or label.
:param tenant => "default";
:param after_id => "";
:param kind => null;
:param label => null;
:param limit => 100;
:param status => null;
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
ORDER BY id LIMIT $limit;
