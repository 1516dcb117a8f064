// capable_members: The members of a team that have all the named capabilities at the required levels.
:param tenant => "default";
:param levels => {};
:param limit => 100;
:param names => ["?"];
:param team_id => "?";
MATCH (m:Team {id: $team_id})<-[:MEMBER_OF]-(a:Agent)
WHERE m.tenant = $tenant
WITH a, [(a)-[h:HAS_CAPABILITY]->(c:Capability) WHERE c.name IN $names | {name: c.name, level: h.level}] AS found
WHERE all(name IN $names WHERE any(f IN found WHERE f.name = name AND f.level >= $levels[name]))
RETURN a.id AS id, a.name AS name, a.status AS status, a.active AS active, a.max_concurrency AS max_concurrency
ORDER BY active, id LIMIT $limit;
