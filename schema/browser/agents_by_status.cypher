// agents_by_status: How many agents are idle, busy, draining, offline and retired.
:param tenant => "default";
MATCH (a:Agent {tenant: $tenant})
RETURN a.status AS status, count(a) AS agents
ORDER BY status;
