"""Who works in the demo, what is to be done, and what is asked about it afterwards."""

from typing import Any

from agent_orchestration.workers.demo_inventory import SHARDS

LABEL = "demo"
LEASE_SECONDS = 3
#: Silent for so long, an agent of the demo counts as offline.
HEARTBEAT_SECONDS = 3

#: name -> capability -> level. Two are not needed for this job.
COMPANY: dict[str, dict[str, float]] = {
    "Ada": {"counting": 0.9, "hashing": 0.9},
    "Ben": {"counting": 0.7, "indexing": 0.8},
    "Cleo": {"hashing": 0.6, "indexing": 0.9},
    "Dora": {"counting": 0.4, "writing": 0.9},
    "Emil": {"translating": 0.9},
    "Fay": {"translating": 0.6, "drawing": 0.8},
}
NEEDED = ("counting", "hashing", "indexing", "writing")
LEAST_LEVEL = 0.5
TEAM_SIZE = 4

#: Question -> Cypher. Parameters: the plan's id, and the team's.
QUESTIONS = {
    "Who did what?": (
        "MATCH (t:Task)-[:SUBTASK_OF]->(:Task {id: $plan}), (t)-[:ASSIGNED_TO]->(a:Agent)\n"
        "RETURN a.name AS agent, a.status AS status, count(t) AS tasks,\n"
        "       sum(t.finished_at.epochMillis - t.started_at.epochMillis) / 1000.0 AS seconds\n"
        "ORDER BY tasks DESC, agent"
    ),
    "What needed a second attempt, and what happened to it?": (
        "MATCH (e:Event)-[:ABOUT]->(t:Task)-[:SUBTASK_OF]->(:Task {id: $plan})\n"
        "WHERE t.attempt > 1\n"
        "RETURN e.seq AS seq, e.type AS event, e.actor AS caused_by, t.id AS task\n"
        "ORDER BY seq"
    ),
    "Which capability of the team hangs on a single agent now?": (
        "MATCH (c:Capability)<-[:HAS_CAPABILITY]-(a:Agent)-[:MEMBER_OF]->(:Team {id: $team})\n"
        "WHERE a.status <> 'offline'\n"
        "WITH c.name AS capability, collect(a.name) AS agents\n"
        "WHERE size(agents) = 1\n"
        "RETURN capability, agents[0] AS only_agent ORDER BY capability"
    ),
}


def agent_ids(job: str) -> dict[str, str]:
    """Name -> the agent's id, for a job whose id is `inventory`, `inventory-2`, …"""
    number = job.partition("-")[2]
    return {name: "-".join(filter(None, (name.lower(), number))) for name in COMPANY}


def requirements() -> list[dict[str, Any]]:
    """What the team must be able to do."""
    return [{"capability": name, "level": LEAST_LEVEL} for name in NEEDED]


def job_tasks() -> list[dict[str, Any]]:
    """The tasks of `submit_plan`: one finds the documents, nine look at a share of them each,
    three put the findings together."""
    tasks = [_task("scan", "counting", "Find the documents", {"job": "scan"})]
    verbs = {"count": "counting", "hash": "hashing", "index": "indexing"}
    for share in range(SHARDS):
        for job, capability in verbs.items():
            title = f"{job.capitalize()} share {share + 1} of {SHARDS}"
            payload = {"job": job, "share": share, "shares": SHARDS}
            tasks.append(_task(f"{job}-{share + 1}", capability, title, payload, ["scan"]))
    parts = {job: [f"{job}-{share + 1}" for share in range(SHARDS)] for job in verbs}
    rest = [
        ("duplicates", "hashing", "Find the duplicates", parts["hash"]),
        ("words", "indexing", "Find the most used words", parts["index"]),
        ("report", "writing", "Write the report", [*parts["count"], "duplicates", "words"]),
    ]
    return tasks + [
        _task(job, able, title, {"job": job}, after) for job, able, title, after in rest
    ]


def _task(
    task_id: str,
    capability: str,
    title: str,
    payload: dict[str, Any],
    after: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "id": task_id,
        "title": title,
        "requires": [{"capability": capability, "level": LEAST_LEVEL}],
        "depends_on": after or [],
        "payload": payload,
        "lease_seconds": LEASE_SECONDS,
    }
