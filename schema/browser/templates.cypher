// templates: Versions of templates in order of id, with how many agents were made from each.
:param tenant => "default";
:param after_id => "";
:param limit => 100;
:param template => null;
:param template_id => null;
MATCH (t:Template {tenant: $tenant})
WHERE t.id > $after_id AND ($template IS NULL OR t.name = $template)
  AND ($template_id IS NULL OR t.id = $template_id)
RETURN t.id AS id, t.name AS name, t.version AS version, t.kind AS kind, t.description AS description,
       t.labels AS labels, t.max_concurrency AS max_concurrency, t.heartbeat_seconds AS heartbeat_seconds,
       t.settings AS settings, t.defined_at AS defined_at,
       [(t)-[p:PROVIDES]->(c:Capability) | {name: c.name, level: p.level}] AS capabilities,
       [(t)-[:EVOLVED_FROM]->(o:Template) | o.id] AS previous_ids,
       COUNT { (t)<-[:INSTANCE_OF]-(:Agent) } AS agents
ORDER BY id LIMIT $limit;
