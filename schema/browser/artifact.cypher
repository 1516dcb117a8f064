// artifact: What a task produced under a name, in the last attempt that did, or in a certain one.
:param tenant => "default";
:param artifact_name => "?";
:param attempt => null;
:param task_id => "?";
MATCH (t:Task {id: $task_id})-[:PRODUCED]->(f:Artifact)-[:PRODUCED_BY]->(a:Agent)
WHERE t.tenant = $tenant AND f.name = $artifact_name AND ($attempt IS NULL OR f.attempt = $attempt)
RETURN f.id AS id, t.id AS task_id, a.id AS agent_id, f.attempt AS attempt, f.name AS name,
       f.media_type AS media_type, f.size AS size, f.sha256 AS sha256, f.created_at AS created_at
ORDER BY attempt DESC LIMIT 1;
