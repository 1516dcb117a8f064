// messages: The messages of a conversation in order of number, those after a number. They are found by their ids, not by what is part of the conversation, which may be much.
:param tenant => "default";
:param after => 0;
:param conversation_id => "?";
:param limit => 100;
MATCH (v:Conversation {id: $conversation_id})
WHERE v.tenant = $tenant AND v.messages > $after
UNWIND range($after + 1, $after + $limit) AS number
MATCH (s:Message {id: v.id + ':' + toString(number)})
RETURN s.id AS id, s.number AS number, s.kind AS kind, s.author AS author, s.author_kind AS author_kind,
       [(s)-[:SENT_TO]->(a:Agent) | a.id] AS to_ids, [(s)-[:REPLY_TO]->(o:Message) | o.number] AS replies,
       s.text AS text, s.data AS data, s.sent_at AS sent_at
ORDER BY number;
