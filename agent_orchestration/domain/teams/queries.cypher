// team: One team with its members, what it has to cover and what it works on.
MATCH (m:Team {id: $team_id})
WHERE m.tenant = $tenant
RETURN m.id AS id, m.goal AS goal, m.status AS status, m.max_size AS max_size, m.formed_at AS formed_at,
       m.disbanded_at AS disbanded_at, m.reason AS reason,
       [(m)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(m)<-[b:MEMBER_OF]-(a:Agent) | {agent_id: a.id, name: a.name, role: b.role, status: a.status, active: a.active}] AS members,
       COUNT { (m)-[:WORKS_ON]->(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks,
       COUNT { (m)-[:WORKS_ON]->(:Task) } AS tasks

// teams: Teams in order of id, by status or member.
MATCH (m:Team {tenant: $tenant})
WHERE m.id > $after_id AND ($status IS NULL OR m.status = $status)
  AND ($agent_id IS NULL OR EXISTS { (m)<-[:MEMBER_OF]-(:Agent {id: $agent_id}) })
RETURN m.id AS id, m.goal AS goal, m.status AS status, m.max_size AS max_size, m.formed_at AS formed_at,
       m.disbanded_at AS disbanded_at, m.reason AS reason,
       [(m)-[r:REQUIRES]->(c:Capability) | {capability: c.name, level: r.level}] AS requires,
       [(m)<-[b:MEMBER_OF]-(a:Agent) | {agent_id: a.id, name: a.name, role: b.role, status: a.status, active: a.active}] AS members,
       COUNT { (m)-[:WORKS_ON]->(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks,
       COUNT { (m)-[:WORKS_ON]->(:Task) } AS tasks
ORDER BY id LIMIT $limit

// capable_members: The members of a team that have all the named capabilities at the required levels.
MATCH (m:Team {id: $team_id})<-[:MEMBER_OF]-(a:Agent)
WHERE m.tenant = $tenant
WITH a, [(a)-[h:HAS_CAPABILITY]->(c:Capability) WHERE c.name IN $names | {name: c.name, level: h.level}] AS found
WHERE all(name IN $names WHERE any(f IN found WHERE f.name = name AND f.level >= $levels[name]))
RETURN a.id AS id, a.name AS name, a.status AS status, a.active AS active, a.max_concurrency AS max_concurrency
ORDER BY active, id LIMIT $limit
