"""What is left of a coordinating task that has ended: its open steps are cancelled."""

from typing import Any

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.calls import PatientCalls

LABEL = "coordination"
"""The label of each step: the id of its coordinating task."""
PAGE = 200


async def cancel_steps(calls: PatientCalls, task_id: str, reason: str) -> None:
    """Cancel the open steps of a coordinating task; a plan as a whole."""
    while rows := await _asked(calls, "open_steps", label=f"{LABEL}={task_id}"):
        for row in rows:
            try:
                await calls("cancel_task", task_id=row["id"], reason=reason)
            except Rejected as error:
                if error.code != "wrong_status":  # it has just ended
                    raise


async def cancel_left_over(calls: PatientCalls) -> None:
    """Cancel the steps of coordinating tasks that ended while nobody coordinated."""
    after = ""
    while rows := await _asked(calls, "coordinations", after_name=after):
        ids = [row["name"] for row in rows]
        found = await calls("wait_for_tasks", ids=ids, seconds=0)
        for task in found["tasks"]:
            if task["status"] in ("completed", "failed", "cancelled"):
                await cancel_steps(calls, task["id"], f"task {task['id']} is {task['status']}")
        after = ids[-1]


async def _asked(calls: PatientCalls, name: str, **params: str) -> list[dict[str, Any]]:
    asked = {**params, "limit": PAGE}
    return (await calls("run_named_query", name=name, params=asked))["rows"]
