// conversation: One conversation: what it is about, and how many messages it has.
MATCH (v:Conversation {id: $conversation_id})
WHERE v.tenant = $tenant
RETURN v.id AS id, v.topic AS topic, v.status AS status, v.messages AS messages, v.opened_by AS opened_by,
       v.opened_at AS opened_at, v.closed_at AS closed_at, v.reason AS reason,
       [(v)-[:ABOUT_TASK]->(t:Task) | t.id] AS task_ids, [(v)-[:OF_TEAM]->(m:Team) | m.id] AS team_ids

// conversations: Conversations in order of id, by status, task, team, or an agent that sent or got a message in them.
MATCH (v:Conversation {tenant: $tenant})
WHERE v.id > $after_id AND ($status IS NULL OR v.status = $status)
  AND ($task_id IS NULL OR EXISTS { (v)-[:ABOUT_TASK]->(:Task {id: $task_id}) })
  AND ($team_id IS NULL OR EXISTS { (v)-[:OF_TEAM]->(:Team {id: $team_id}) })
  AND ($agent_id IS NULL OR EXISTS { (v)<-[:PART_OF]-(:Message)-[:SENT_BY|SENT_TO]->(:Agent {id: $agent_id}) })
RETURN v.id AS id, v.topic AS topic, v.status AS status, v.messages AS messages, v.opened_by AS opened_by,
       v.opened_at AS opened_at, v.closed_at AS closed_at, v.reason AS reason,
       [(v)-[:ABOUT_TASK]->(t:Task) | t.id] AS task_ids, [(v)-[:OF_TEAM]->(m:Team) | m.id] AS team_ids
ORDER BY id LIMIT $limit

// messages: The messages of a conversation in order of number, those after a number.
// They are found by their ids, not by what is part of the conversation, which may be much.
MATCH (v:Conversation {id: $conversation_id})
WHERE v.tenant = $tenant AND v.messages > $after
UNWIND range($after + 1, $after + $limit) AS number
MATCH (s:Message {id: v.id + ':' + toString(number)})
RETURN s.id AS id, s.number AS number, s.kind AS kind, s.author AS author, s.author_kind AS author_kind,
       [(s)-[:SENT_TO]->(a:Agent) | a.id] AS to_ids, [(s)-[:REPLY_TO]->(o:Message) | o.number] AS replies,
       s.text AS text, s.data AS data, s.sent_at AS sent_at
ORDER BY number
