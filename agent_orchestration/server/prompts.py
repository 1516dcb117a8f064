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
5. `submit_plan` with all of them at once: short ids, `depends_on` by these ids, an `id` for the \
plan and an `idempotency_key`, so that repeating the call after a time-out changes nothing. An \
answer with `unstaffed` names capabilities that no agent has. A single task more is a \
`create_task`.
6. `wait_for_tasks` with the plan's id (at most 50 seconds a call) when asked to follow the work; \
`get_task` of it shows how many are done, `explain_task` why it does not move.

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

STAFF_THIS_PLAN = """\
See to it that every task of the plan {plan_id} has somebody who can do it.

1. `get_task` with task_id={plan_id}: its status, how many tasks are open, and its team if it has \
one. A plan that is finished needs nobody.
2. `list_tasks` with parent_id={plan_id}, status=ready and then status=blocked, page by page; \
`get_task` for what a task requires.
3. `find_agents` once for each different set of requirements, without `available` first: who could \
do it at all? Then with available=true: who could do it now?
4. With a team, only its members may claim: `get_team`, and compare. Who is missing can be added \
with `update_team`.
5. Where nobody qualifies, say which capability at which level is missing and for which tasks, and \
what would help: another level for an agent (`update_agent`), a new agent (`register_agent`, or \
`instantiate_agent` from a template of `list_templates`), or an agent that is draining or offline.
6. Where many tasks wait for few agents, say so: how many tasks, how many hands.

Answer with a table (requirements, tasks, who can, who is free), then the calls that would close \
the gaps, the most helpful first. Make none of these calls unless asked to."""

REVIEW_THE_TEAM = """\
Look at the team {team_id}: is it the right one for what it has to do?

1. `get_team` with team_id={team_id}: goal, members with roles, what it was formed to cover, open \
tasks.
2. `list_tasks` with team_id={team_id}, by status: what runs, waits, failed. A plan is a task too: \
its own tasks say more than it does.
3. `get_agent` for each member: status, capabilities, what it holds. Who is offline or draining, \
who is at the limit, who has nothing to do?
4. Compare: which open task requires what no member has, at that level? Which capability has a \
single member, who must not fail? Who brings nothing that the others do not have?
5. `find_agents` for what is missing: who outside the team could join?
6. `explain_task` for the task that has waited longest.

Answer in four parts: what the team is for and how far it is; its gaps; members without use; at \
most three changes as calls with their arguments (`update_team`, or `disband_team` where its goal \
is reached). Make none of these calls unless asked to."""
