// usage_by_team: What calls for the tasks of each team cost and used, the dearest first, in a range of time; calls for tasks of no team are not among them.
:param tenant => "default";
:param limit => 100;
:param since => datetime("2026-01-31T12:00:00Z");
:param task_id => null;
:param until => datetime("2026-01-31T12:00:00Z");
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_FOR]->(m:Team)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN m.id AS id, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, id LIMIT $limit;
