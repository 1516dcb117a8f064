// coordinations: The tasks, by id, whose open steps bear their id in the label `coordination`.
:param tenant => "default";
:param after_name => "";
:param limit => 100;
MATCH (t:Task {tenant: $tenant})
WHERE t.status IN ['blocked', 'ready', 'assigned', 'running']
UNWIND t.labels AS label
WITH label WHERE label STARTS WITH 'coordination=' AND substring(label, 13) > $after_name
RETURN DISTINCT substring(label, 13) AS name
ORDER BY name LIMIT $limit;
