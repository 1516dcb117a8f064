"""What a replay came to: totals, the ideal schedule beside it, and questions put to the graph."""

from typing import Any

from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.plan import Plan
from agent_orchestration.workers.publish import run_label
from agent_orchestration.workers.replay import Progress
from agent_orchestration.workers.schedule import critical_path, ideal_makespan

NOTICE = (
    "replay: the recorded programs are not run; each agent waits the recorded runtime divided by"
    " the speed. Tasks, agents, claims and reports are real."
)

QUESTIONS = {
    "Which capabilities took the most time?": (
        "MATCH (t:Task)-[:REQUIRES]->(c:Capability)\n"
        "WHERE $run IN t.labels AND t.status = 'completed'\n"
        "RETURN c.name AS capability, count(t) AS tasks,\n"
        "       sum(t.finished_at.epochMillis - t.started_at.epochMillis) / 1000.0 AS seconds\n"
        "ORDER BY seconds DESC, capability LIMIT 10"
    ),
    "Which tasks did the most others wait for?": (
        "MATCH (d:Task)-[:DEPENDS_ON]->(t:Task)\n"
        "WHERE $run IN t.labels\n"
        "RETURN t.title AS task, count(d) AS dependents\n"
        "ORDER BY dependents DESC, task LIMIT 5"
    ),
    "Who did what?": (
        "MATCH (t:Task)-[:ASSIGNED_TO]->(a:Agent)\n"
        "WHERE $run IN t.labels AND t.status = 'completed'\n"
        "RETURN a.name AS agent, count(t) AS tasks,\n"
        "       sum(t.finished_at.epochMillis - t.started_at.epochMillis) / 1000.0 AS seconds\n"
        "ORDER BY tasks DESC, agent LIMIT 10"
    ),
}


async def summarize(
    call: PatientCalls, plan: Plan, progress: Progress, speed: float
) -> dict[str, Any]:
    """The whole outcome as JSON data; all times in seconds.

    `overhead_per_task_seconds` is (wall - ideal) / tasks: what the platform added to each task,
    the creation of tasks and agents included. A resumed run has done part of its work before, so
    it is None there.
    """
    tasks = plan.workflow.tasks
    path = critical_path(tasks)
    ideal = ideal_makespan(tasks, [agent.capabilities for agent in plan.agents]) / speed
    wall = progress.elapsed
    return {
        "replay": True,
        "notice": NOTICE,
        "run_id": plan.run_id,
        "workflow": plan.workflow.name,
        "speed": speed,
        "tasks": {"total": len(tasks), "by_status": progress.counts},
        "dependencies": sum(len(task.parents) for task in tasks),
        "capabilities": len(plan.workflow.capabilities),
        "agents": {"count": len(plan.agents), "chosen": plan.chosen},
        "recorded_seconds": sum(task.runtime_seconds for task in tasks),
        "wall_seconds": wall,
        "setup_seconds": (progress.set_up or progress.started) - progress.started,
        "ideal_seconds": ideal,
        "overhead_per_task_seconds": None if progress.found else (wall - ideal) / len(tasks),
        "resumed_with_tasks": progress.found,
        "critical_path": {
            "tasks": list(path.tasks),
            "recorded_seconds": path.seconds,
            "seconds": path.seconds / speed,
        },
        "attempts_taken_back": progress.stopped,
        "declined": progress.declined,
        "calls_repeated": call.repeated,
        "notes": progress.notes,
        "questions": await ask(call, plan),
    }


async def ask(call: PatientCalls, plan: Plan) -> list[dict[str, Any]]:
    """The answers to `QUESTIONS` from the graph, each with its query and parameters."""
    params = {"run": run_label(plan)}
    found: list[dict[str, Any]] = []
    for question, query in QUESTIONS.items():
        answer = await call("read_cypher", query=query, params=params)
        one = {"question": question, "query": query, "params": params, "rows": answer["rows"]}
        found.append(one)
    return found
