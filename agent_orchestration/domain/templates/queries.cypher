// templates: Versions of templates in order of id, with how many agents were made from each.
MATCH (t:Template {tenant: $tenant})
WHERE t.id > $after_id AND ($template IS NULL OR t.name = $template)
  AND ($template_id IS NULL OR t.id = $template_id)
RETURN t.id AS id, t.name AS name, t.version AS version, t.kind AS kind, t.description AS description,
       t.labels AS labels, t.max_concurrency AS max_concurrency, t.heartbeat_seconds AS heartbeat_seconds,
       t.settings AS settings, t.defined_at AS defined_at,
       [(t)-[p:PROVIDES]->(c:Capability) | {name: c.name, level: p.level}] AS capabilities,
       [(t)-[:EVOLVED_FROM]->(o:Template) | o.id] AS previous_ids,
       COUNT { (t)<-[:INSTANCE_OF]-(:Agent) } AS agents
ORDER BY id LIMIT $limit

// template_lineage: The versions that a template version evolved from, the nearest first.
MATCH p = (t:Template {id: $template_id})-[:EVOLVED_FROM*1..50]->(o:Template)
WHERE t.tenant = $tenant
RETURN o.id AS id, o.version AS version, length(p) AS steps
ORDER BY steps LIMIT 50

// instances: The agents made from any version of a template.
MATCH (a:Agent {tenant: $tenant})-[:INSTANCE_OF]->(t:Template)
WHERE t.name = $template
RETURN a.id AS id, a.name AS name, a.status AS status, t.version AS version
ORDER BY version DESC, id LIMIT $limit
