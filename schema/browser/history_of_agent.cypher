// history_of_agent: What happened to one agent, the oldest first.
:param tenant => "default";
:param actor => null;
:param after => 0;
:param agent_id => "?";
:param limit => 100;
:param type => null;
MATCH (e:Event)-[:ABOUT]->(a:Agent {id: $agent_id})
WHERE a.tenant = $tenant AND e.seq > $after AND ($type IS NULL OR e.type = $type) AND ($actor IS NULL OR e.actor = $actor)
RETURN e.seq AS seq, e.type AS type, e.at AS at, e.actor AS actor, e.data AS data
ORDER BY seq LIMIT $limit;
