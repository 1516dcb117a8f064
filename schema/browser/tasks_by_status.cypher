// tasks_by_status: How many tasks are in each status.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})
RETURN t.status AS status, count(t) AS tasks
ORDER BY status;
