// template_lineage: The versions that a template version evolved from, the nearest first.
:param tenant => "default";
:param template_id => "?";
MATCH p = (t:Template {id: $template_id})-[:EVOLVED_FROM*1..50]->(o:Template)
WHERE t.tenant = $tenant
RETURN o.id AS id, o.version AS version, length(p) AS steps
ORDER BY steps LIMIT 50;
