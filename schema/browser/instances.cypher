// instances: The agents made from any version of a template.
:param tenant => "default";
:param limit => 100;
:param template => "?";
MATCH (a:Agent {tenant: $tenant})-[:INSTANCE_OF]->(t:Template)
WHERE t.name = $template
RETURN a.id AS id, a.name AS name, a.status AS status, t.version AS version
ORDER BY version DESC, id LIMIT $limit;
