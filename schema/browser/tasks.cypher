// tasks: Tasks in order of id, by status, assigned agent, required capability or label.
:param tenant => "default";
:param after_id => "";
:param agent_id => null;
:param capability => null;
:param label => null;
:param limit => 100;
:param parent_id => null;
:param status => null;
:param team_id => null;
MATCH (t:Task {tenant: $tenant})
WHERE t.id > $after_id AND ($status IS NULL OR t.status = $status) AND ($label IS NULL OR $label IN t.labels)
  AND ($agent_id IS NULL OR EXISTS { (t)-[:ASSIGNED_TO]->(:Agent {id: $agent_id}) })
  AND ($parent_id IS NULL OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $parent_id}) })
  AND ($team_id IS NULL OR EXISTS { (t)<-[:WORKS_ON]-(:Team {id: $team_id}) })
  AND ($capability IS NULL OR EXISTS { (t)-[:REQUIRES]->(:Capability {name: $capability}) })
WITH t.id AS id ORDER BY id LIMIT $limit
MATCH (t:Task {id: id})
OPTIONAL MATCH (t)-[:ASSIGNED_TO]->(a:Agent)
RETURN t.id AS id, t.title AS title, t.status AS status, t.priority AS priority, t.attempt AS attempt,
       t.reason AS reason, a.id AS agent_id, t.waiting_on AS waiting_on, t.created_at AS created_at
ORDER BY id;
