// first_event_since: The number of the first event at or after an instant.
:param tenant => "default";
:param since => datetime("2026-01-31T12:00:00Z");
MATCH (e:Event {tenant: $tenant})
WHERE e.at >= $since
WITH min(e.seq) AS seq
WHERE seq IS NOT NULL
RETURN seq AS seq;
