// conversations: Conversations in order of id, by status, task, team, or an agent that sent or got a message in them.
:param tenant => "default";
:param after_id => "";
:param agent_id => null;
:param limit => 100;
:param status => null;
:param task_id => null;
:param team_id => null;
MATCH (v:Conversation {tenant: $tenant})
WHERE v.id > $after_id AND ($status IS NULL OR v.status = $status)
  AND ($task_id IS NULL OR EXISTS { (v)-[:ABOUT_TASK]->(:Task {id: $task_id}) })
  AND ($team_id IS NULL OR EXISTS { (v)-[:OF_TEAM]->(:Team {id: $team_id}) })
  AND ($agent_id IS NULL OR EXISTS { (v)<-[:PART_OF]-(:Message)-[:SENT_BY|SENT_TO]->(:Agent {id: $agent_id}) })
RETURN v.id AS id, v.topic AS topic, v.status AS status, v.messages AS messages, v.opened_by AS opened_by,
       v.opened_at AS opened_at, v.closed_at AS closed_at, v.reason AS reason,
       [(v)-[:ABOUT_TASK]->(t:Task) | t.id] AS task_ids, [(v)-[:OF_TEAM]->(m:Team) | m.id] AS team_ids
ORDER BY id LIMIT $limit;
