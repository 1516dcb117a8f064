// capable_agents: Agents that have all the named capabilities at the required levels, best first.
:param tenant => "default";
:param available => false;
:param levels => {};
:param limit => 100;
:param names => ["?"];
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
ORDER BY total DESC, active, id LIMIT $limit;
