// longest_running: Tasks that are being worked on, the longest first.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})-[:ASSIGNED_TO]->(a:Agent)
WHERE t.status IN ['assigned', 'running']
RETURN t.id AS id, t.title AS title, a.id AS agent_id, t.attempt AS attempt, t.started_at AS started_at,
       t.lease_until AS lease_until
ORDER BY started_at, id LIMIT 50;
