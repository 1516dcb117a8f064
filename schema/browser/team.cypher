// team: One team with its members, what it has to cover and what it works on.
:param tenant => "default";
:param team_id => "?";
MATCH (m:Team {id: $team_id})
WHERE m.tenant = $tenant
RETURN m.id AS id, m.goal AS goal, m.status AS status, m.max_size AS max_size, m.formed_at AS formed_at,
       m.disbanded_at AS disbanded_at, m.reason AS reason,
       [(m)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(m)<-[b:MEMBER_OF]-(a:Agent) | {agent_id: a.id, name: a.name, role: b.role, status: a.status, active: a.active}] AS members,
       COUNT { (m)-[:WORKS_ON]->(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks,
       COUNT { (m)-[:WORKS_ON]->(:Task) } AS tasks;
