// plans: Plans with their progress, the newest first.
:param tenant => "default";
MATCH (t:Task {tenant: $tenant})
WHERE t.children > 0
RETURN t.id AS id, t.title AS title, t.status AS status, coalesce(t.children, 0) AS children, coalesce(t.open_children, 0) AS open_children,
       coalesce(t.failed_children, 0) AS failed_children, t.created_at AS created_at
ORDER BY created_at DESC, id LIMIT 50;
