// conversation: One conversation: what it is about, and how many messages it has.
:param tenant => "default";
:param conversation_id => "?";
MATCH (v:Conversation {id: $conversation_id})
WHERE v.tenant = $tenant
RETURN v.id AS id, v.topic AS topic, v.status AS status, v.messages AS messages, v.opened_by AS opened_by,
       v.opened_at AS opened_at, v.closed_at AS closed_at, v.reason AS reason,
       [(v)-[:ABOUT_TASK]->(t:Task) | t.id] AS task_ids, [(v)-[:OF_TEAM]->(m:Team) | m.id] AS team_ids;
