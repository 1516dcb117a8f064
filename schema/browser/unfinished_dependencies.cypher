// unfinished_dependencies: What some tasks wait for, one step away; ask again with the ids that were found for more.
:param tenant => "default";
:param ids => ["?"];
UNWIND $ids AS wanted
MATCH (t:Task {id: wanted})-[:DEPENDS_ON]->(o:Task)
WHERE t.tenant = $tenant AND o.status <> 'completed'
RETURN DISTINCT o.id AS id, o.title AS title, o.status AS status, o.reason AS reason
ORDER BY id LIMIT 1000;
