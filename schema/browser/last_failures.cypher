// last_failures: The tasks that failed last.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})
WHERE t.status = 'failed'
RETURN t.id AS id, t.title AS title, t.error_type AS error_type, t.error AS error, t.finished_at AS finished_at
ORDER BY finished_at DESC, id LIMIT 20;
