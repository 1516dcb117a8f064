"""A tenant with something of everything, each with a text that nobody else may read."""

import json
from typing import Any

from agent_orchestration.app import Platform
from agent_orchestration.core.dispatch import Caller


def canary(tenant: str) -> str:
    """What is in every text of a tenant, and in no request of anybody else."""
    return f"canary of {tenant}: 7f3a"


def name_in(tenant: str, what: str) -> str:
    """The id of a tenant's thing; ids may be guessed."""
    return f"{tenant}-{what}"


async def found(platform: Platform, caller: Caller) -> dict[str, str]:
    """Fill the caller's tenant. Answers the digests of its two blobs, by what they are of."""
    tenant = caller.tenant
    text = canary(tenant)

    async def call(tool: str, **arguments: Any) -> Any:
        return await platform.call(tool, arguments, caller)

    agent, skill = name_in(tenant, "agent"), name_in(tenant, "skill")
    task, team = name_in(tenant, "task"), name_in(tenant, "team")
    held = {"task_id": task, "agent_id": agent, "attempt": 1}
    await call("define_capability", name=skill, description=text)
    skills = [{"name": skill}]
    more = {"kind": "function", "labels": {"note": text}, "max_concurrency": 9}
    await call("register_agent", id=agent, name=text, capabilities=skills, **more)
    name = name_in(tenant, "template")
    await call("define_template", name=name, kind="llm", capabilities=skills, description=text)
    await call("form_team", id=team, goal=text, members=[{"agent_id": agent}])
    given = {"requires": [{"capability": skill}], "payload": {"text": text}}
    await call("create_task", id=task, title=text, **given)
    await call("claim_task", agent_id=agent, start=True)
    await call("report_progress", **held, progress={"text": text})
    await call("add_artifact", **held, name="a.txt", content=text)
    await call("set_budget", limit_micros=10**9)
    spend = name_in(tenant, "spend")
    await call("reserve_spend", **held, id=spend, model=text, amount_micros=5)
    talk = name_in(tenant, "talk")
    await call("open_conversation", id=talk, topic=text, task_id=task, text=text)
    plan = name_in(tenant, "plan")
    await call("submit_plan", id=plan, title=text, tasks=[{"id": "step", "title": text}])
    large = {"text": text * 5_000}
    made = await call("create_task", id=name_in(tenant, "large"), title=text, payload=large)
    artifact = (await call("get_artifact", task_id=task, name="a.txt"))["artifact"]
    return {"payload": made["task"]["payload"]["$blob"], "artifact": artifact["sha256"]}


def is_told(tenant: str, answer: object) -> bool:
    """Whether an answer holds what is for that tenant only."""
    shown = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    return canary(tenant) in text
