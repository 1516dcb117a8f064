// capabilities: Capabilities by name, with how many agents have them and how many open tasks need them.
:param tenant => "default";
:param after_name => "";
:param category => null;
:param limit => 100;
MATCH (c:Capability {tenant: $tenant})
WHERE c.name > $after_name AND ($category IS NULL OR c.category = $category)
RETURN c.name AS name, c.category AS category, c.description AS description,
       COUNT { (c)<-[:HAS_CAPABILITY]-(a:Agent) WHERE a.status <> 'retired' } AS agents,
       COUNT { (c)<-[:REQUIRES]-(t:Task) WHERE t.status IN ['blocked', 'ready', 'assigned', 'running'] } AS open_tasks
ORDER BY name LIMIT $limit;
