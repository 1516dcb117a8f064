"""What is left of a coordinating task that has ended: its open steps are cancelled."""

from typing import Any

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import is_id
from agent_orchestration.domain.tasks.model import OPEN
from agent_orchestration.workers.calls import PatientCalls

LABEL = "coordination"
"""The label of each step: the id of its coordinating task."""
PAGE = 200


async def cancel_steps(calls: PatientCalls, task_id: str, reason: str) -> None:
    """Cancel the open steps of a coordinating task; a plan as a whole."""
    after = ""
    while rows := await _asked(calls, "open_steps", label=f"{LABEL}={task_id}", after_id=after):
        for row in rows:
            after = row["id"]
            # Anybody may give a task that label.
            if after.startswith((f"{task_id}.", f"{task_id}-")):
                try:
                    await calls("cancel_task", task_id=after, reason=reason)
                except Rejected as error:
                    if error.code != "wrong_status":  # it has just ended
                        raise


async def cancel_left_over(calls: PatientCalls) -> None:
    """Cancel the steps of coordinating tasks that ended while nobody coordinated."""
    after = ""
    while rows := await _asked(calls, "coordinations", after_name=after):
        after = rows[-1]["name"]
        # Others may use the label for something else.
        ids = [row["name"] for row in rows if is_id(row["name"])]
        for task in (await calls("wait_for_tasks", ids=ids, seconds=0))["tasks"] if ids else ():
            if task["status"] not in OPEN:
                await cancel_steps(calls, task["id"], f"task {task['id']} is {task['status']}")


async def _asked(calls: PatientCalls, name: str, **params: str) -> list[dict[str, Any]]:
    asked = {**params, "limit": PAGE}
    return (await calls("run_named_query", name=name, params=asked))["rows"]
