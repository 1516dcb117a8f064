// circuit_breakers: Agents whose service's circuit breaker is not closed, in order of id.
:param tenant => "default";
:param after_id => "";
:param limit => 100;
MATCH (a:Agent {tenant: $tenant})
WHERE a.id > $after_id AND a.circuit_breaker_state IS NOT NULL
RETURN a.id AS id, a.name AS name, a.status AS status, a.circuit_breaker_state AS state,
       a.circuit_breaker_service AS service
ORDER BY id LIMIT $limit;
