// usage_by_agent: What calls by each agent cost and used, the dearest first, in a range of time.
:param tenant => "default";
:param limit => 100;
:param since => datetime("2026-01-31T12:00:00Z");
:param task_id => null;
:param until => datetime("2026-01-31T12:00:00Z");
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_BY]->(a:Agent)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN a.id AS id, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, id LIMIT $limit;
