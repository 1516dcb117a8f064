// history: What happened in the tenant, the oldest first.
:param tenant => "default";
:param actor => null;
:param after => 0;
:param limit => 100;
:param type => null;
MATCH (e:Event {tenant: $tenant})
WHERE e.seq > $after AND ($type IS NULL OR e.type = $type) AND ($actor IS NULL OR e.actor = $actor)
RETURN e.seq AS seq, e.type AS type, e.at AS at, e.actor AS actor, e.data AS data
ORDER BY seq LIMIT $limit;
