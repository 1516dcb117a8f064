// budgets: Budgets in order of id, with what is spent, reserved and left, by what they limit.
:param tenant => "default";
:param after_id => "";
:param budget_id => null;
:param limit => 100;
:param scope => null;
MATCH (b:Budget {tenant: $tenant})
WHERE b.id > $after_id AND ($budget_id IS NULL OR b.id = $budget_id) AND ($scope IS NULL OR b.scope = $scope)
OPTIONAL MATCH (b)-[:LIMITS_TEAM]->(m:Team)
OPTIONAL MATCH (b)-[:LIMITS_AGENT]->(a:Agent)
OPTIONAL MATCH (b)-[:LIMITS_TASK]->(t:Task)
RETURN b.id AS id, b.scope AS scope, m.id AS team_id, a.id AS agent_id, t.id AS task_id,
       b.limit_micros AS limit_micros, b.spent_micros AS spent_micros, b.reserved_micros AS reserved_micros,
       b.limit_micros - b.spent_micros - b.reserved_micros AS left_micros, b.spent_tokens AS spent_tokens,
       b.on_exceeded AS on_exceeded, b.set_at AS set_at
ORDER BY id LIMIT $limit;
