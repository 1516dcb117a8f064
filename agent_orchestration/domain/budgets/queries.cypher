// budgets: Budgets in order of id, with what is spent, reserved and left, by what they limit.
MATCH (b:Budget {tenant: $tenant})
WHERE b.id > $after_id AND ($budget_id IS NULL OR b.id = $budget_id) AND ($scope IS NULL OR b.scope = $scope)
OPTIONAL MATCH (b)-[:LIMITS_TEAM]->(m:Team)
OPTIONAL MATCH (b)-[:LIMITS_AGENT]->(a:Agent)
OPTIONAL MATCH (b)-[:LIMITS_TASK]->(t:Task)
RETURN b.id AS id, b.scope AS scope, m.id AS team_id, a.id AS agent_id, t.id AS task_id,
       b.limit_micros AS limit_micros, b.spent_micros AS spent_micros, b.reserved_micros AS reserved_micros,
       b.limit_micros - b.spent_micros - b.reserved_micros AS left_micros, b.spent_tokens AS spent_tokens,
       b.on_exceeded AS on_exceeded, b.set_at AS set_at
ORDER BY id LIMIT $limit

// spends: Calls to models in order of id, by status (reserved, settled, unconfirmed or released) and
// by task, its subtasks included.
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_BY]->(a:Agent)
WHERE s.id > $after_id AND ($status IS NULL OR s.status = $status)
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN s.id AS id, t.id AS task_id, a.id AS agent_id, s.attempt AS attempt, s.model AS model, s.status AS status,
       s.reserved_micros AS reserved_micros, s.cost_micros AS cost_micros, s.overrun_micros AS overrun_micros,
       s.at AS at
ORDER BY id LIMIT $limit

// usage_by_task: What calls for each task cost and used, the dearest first, in a range of time.
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN t.id AS id, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, id LIMIT $limit

// usage_by_agent: What calls by each agent cost and used, the dearest first, in a range of time.
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_BY]->(a:Agent)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN a.id AS id, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, id LIMIT $limit

// usage_by_team: What calls for the tasks of each team cost and used, the dearest first, in a range
// of time; calls for tasks of no team are not among them.
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task), (s)-[:SPENT_FOR]->(m:Team)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN m.id AS id, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, id LIMIT $limit

// usage_by_model: What calls of each model cost and used, the dearest first, in a range of time.
MATCH (s:Spend {tenant: $tenant})-[:SPENT_ON]->(t:Task)
WHERE s.at >= $since AND s.at < $until
  AND ($task_id IS NULL OR t.id = $task_id OR EXISTS { (t)-[:SUBTASK_OF]->(:Task {id: $task_id}) })
RETURN s.model AS model, count(s) AS calls, sum(s.cost_micros) AS cost_micros, sum(s.overrun_micros) AS overrun_micros,
       sum(CASE s.status WHEN 'reserved' THEN s.reserved_micros ELSE 0 END) AS reserved_micros,
       sum(CASE s.status WHEN 'unconfirmed' THEN s.cost_micros ELSE 0 END) AS unconfirmed_micros,
       sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens,
       sum(s.cached_tokens) AS cached_tokens, sum(s.milliseconds) AS milliseconds
ORDER BY cost_micros DESC, model LIMIT $limit
