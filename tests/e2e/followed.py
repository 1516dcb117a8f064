"""A plan that is followed through the logs of all processes, with secrets on its way."""

import json
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.program import PATIENCE, wait_for

#: In payloads, texts, headers, tokens and mistakes: no log may have it.
CANARY = "canary-9d4e1b7c"
STORY = "story-1"
AGENTS = """
from agent_orchestration.workers import agent

@agent(id="shouter", capabilities={"shouting": 1.0})
async def shout(text: str) -> str:
    return text.upper()
"""


def submit(url: str, token: str | None = None) -> None:
    """Let a worker on `shouter` carry a plan out, say something, and make every mistake that
    quotes a secret. `token` is the server's own."""
    headers = {"X-Correlation-Id": STORY, "X-Request-Id": "request-1", "X-Secret": CANARY}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    with httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False) as http:

        def call(tool: str, **arguments: Any) -> httpx2.Response:
            return http.post(f"/api/v1/tools/{tool}", json=arguments)

        needs = [{"capability": "shouting"}]
        part = {"id": "t", "title": "T", "requires": needs, "payload": {"text": CANARY}}
        plan = call("submit_plan", id="p", title="P", description=CANARY, tasks=[part])
        assert plan.status_code == 200, plan.text
        waited = call("wait_for_tasks", ids=["p"], seconds=50).json()["result"]
        assert waited["finished"], waited
        shown = call("get_task", task_id="p.t").json()["result"]["task"]
        assert shown["result"] == CANARY.upper()
        assert call("open_conversation", id="c", topic=CANARY, text=CANARY).status_code == 200
        assert call("create_task", title="T", payload_=CANARY).status_code == 422
        assert call("create_task", id="p", title=CANARY).status_code == 422
        wrong = {"Authorization": f"Bearer {CANARY}"}
        assert http.get("/api/v1/tools", headers=wrong).status_code in (401, 403)


def lines_of(log: Path, **fields: object) -> list[dict[str, Any]]:
    """The lines of a log that have these fields; all of them are JSON."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line for line in lines if fields.items() <= line.items()]


def messages(log: Path) -> list[str]:
    """What is said of the story."""
    return [line["message"] for line in lines_of(log, correlation=STORY)]


def check(server: Path, processor: Path, worker: Path) -> None:
    """Each process has its part of the story in its log, and none a secret."""
    wait_for(lambda: "task p.t: completed" in messages(worker), "the worker to say so")
    [answered] = lines_of(server, tool="submit_plan")
    assert (answered["correlation"], answered["request_id"]) == (STORY, "request-1")
    assert answered["outcome"] == "answered"
    decided = ["SubmitPlan: accepted", "CompleteTask: accepted", "CreateTask: failed"]
    folded = ["PlanSubmitted is in the graph", "TaskCompleted is in the graph"]
    assert {*decided, *folded, "message c:1 is delivered"} <= {*messages(processor)}
    for log in (server, processor, worker):
        text = log.read_text("utf-8")
        assert CANARY not in text
        assert CANARY.upper() not in text
