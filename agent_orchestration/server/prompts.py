"""Prompts: texts that tell a model which tools to use, in which order, for the jobs people do."""

PLAN_A_GOAL = """\
Plan this goal as tasks for the agents of this platform, then put the plan in place.

Goal: {goal}

1. `get_overview`: what is already there. `list_tasks`: is any of this work planned or done?
2. `list_capabilities`: use the names that exist. `define_capability` only for what is missing.
3. Write down 3 to 12 tasks: a title in the imperative, what the result must contain, the \
capabilities it requires with levels (0 to 1), what it depends on. Keep tasks independent where \
the work allows it; only a real need for another task's result is a dependency.
4. `find_agents` with the requirements of each task. Where nobody qualifies, lower a level that \
need not be so high, or say that an agent has to be registered; do not invent agents.
5. `create_task` for each one, dependencies before those that depend on them. Give each call its \
own `idempotency_key`, so that repeating it after a time-out changes nothing. An answer with \
`unstaffed` names capabilities that no agent has.
6. `wait_for_tasks` with the ids (at most 50 seconds a call) when asked to follow the work; \
`explain_task` for one that does not move.

Show the plan as a table (id, title, requires, depends on, agent) before step 5, and report at the \
end what was created, what is unstaffed and which task comes first."""

WHY_IS_THIS_STUCK = """\
Find out why the task {task_id} does not get done, and say what would move it.

1. `get_task` with task_id={task_id}: its status, attempt, agent and lease.
2. `explain_task` with task_id={task_id}: the events behind that status and what it waits for.
3. Then by status:
   - blocked: `get_task` on each dependency that is not completed, and follow the chain down to \
the first task that could run or has failed.
   - ready: `find_agents` with the task's requirements. Nobody qualifies: name the capability and \
level that is missing. Somebody does: are they busy, draining or offline?
   - assigned or running: when does the lease end, when was the last progress, does the agent \
still send heartbeats (`get_agent`)?
   - failed or cancelled: the error, whether it may be retried, which tasks wait behind it.
4. `get_history` where the order of events matters.

Answer in three parts: the cause in one sentence; the evidence (events with their numbers and \
times); one tool call that would resolve it, with its arguments. Do not make that call unless \
asked to."""
