"""A plan is a task with children; there is no entity of its own."""

MAX_TASKS = 50_000
"""Tasks in one plan, at most."""


def child_id(plan_id: str, local_id: str) -> str:
    """The id of a plan's task from its id within the plan."""
    return f"{plan_id}.{local_id}"
