// teams: Teams in order of id, by status or member.
:param tenant => "default";
:param after_id => "";
:param agent_id => null;
:param limit => 100;
:param status => null;
MATCH (m:Team {tenant: $tenant})
WHERE m.id > $after_id AND ($status IS NULL OR m.status = $status)
  AND ($agent_id IS NULL OR EXISTS { (m)<-[:MEMBER_OF]-(:Agent {id: $agent_id}) })
RETURN m.id AS id, m.goal AS goal, m.status AS status, m.max_size AS max_size, m.formed_at AS formed_at,
       m.disbanded_at AS disbanded_at, m.reason AS reason,
       [(m)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(m)<-[b:MEMBER_OF]-(a:Agent) | {agent_id: a.id, name: a.name, role: b.role, status: a.status, active: a.active}] AS members,
       COUNT { (m)-[:WORKS_ON]->(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks,
       COUNT { (m)-[:WORKS_ON]->(:Task) } AS tasks
ORDER BY id LIMIT $limit;
