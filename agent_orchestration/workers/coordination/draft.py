"""Drafts of plans: what planners are asked for, and what is wrong with what came."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import Field

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.state import TenantState
from agent_orchestration.core.types import Id, Priority, Text, Title
from agent_orchestration.domain.plans.commands import PlanTaskSpec
from agent_orchestration.domain.plans.planning import planned_tasks
from agent_orchestration.domain.tasks.arguments import RequirementArgument, requirement_specs
from agent_orchestration.domain.tasks.model import DependencySpec
from agent_orchestration.workers.coordination.ending import LABEL
from agent_orchestration.workers.coordination.steps import RETRY, Steps
from agent_orchestration.workers.result_schema import RESULT_SCHEMA, check_schema

MOST_TASKS = 100
MOST_PROBLEMS = 20
_TEXT = {"type": "string"}
_REQUIREMENT = {
    "type": "object",
    "required": ["capability"],
    "properties": {"capability": _TEXT, "level": {"type": "number", "minimum": 0, "maximum": 1}},
}
DRAFT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["title", "tasks"],
    "properties": {
        "title": _TEXT,
        "tasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_TASKS,
            "items": {
                "type": "object",
                "required": ["id", "title", "description", "requires", "depends_on"],
                "properties": {
                    "id": _TEXT,
                    "title": _TEXT,
                    "description": _TEXT,
                    "requires": {"type": "array", "items": _REQUIREMENT, "minItems": 1},
                    "depends_on": {"type": "array", "items": _TEXT},
                    "result_schema": {"type": "object"},
                    "priority": {"type": "integer", "minimum": 1, "maximum": 5},
                },
            },
        },
    },
}
"""The JSON Schema of a draft."""


class DraftTask(Arguments):
    """A task of a draft."""

    id: Annotated[Id, Field(max_length=63)]
    title: Title
    description: Text
    # A task that requires nothing is anybody's, whoever that is.
    requires: Annotated[list[RequirementArgument], Field(min_length=1, max_length=50)]
    depends_on: Annotated[list[Id], Field(max_length=MOST_TASKS)]
    result_schema: dict[str, Any] | None = None
    priority: Priority = 3


class Draft(Arguments):
    """A plan as a planner wants it."""

    title: Title
    tasks: Annotated[list[DraftTask], Field(min_length=1, max_length=MOST_TASKS)]


async def problems(steps: Steps, value: Any) -> list[str]:
    """What would keep the draft from being carried out, each with the field to change; empty where
    nothing would."""
    try:
        draft = Draft.model_validate(value)
    except pydantic.ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found]
    try:
        _check_shape(draft)
    except PlatformError as error:
        return [error.reason]
    lacking = [await _unstaffed(steps, number, task) for number, task in enumerate(draft.tasks)]
    return [one for one in lacking if one][:MOST_PROBLEMS]


def submission(steps: Steps, goal: str, draft: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `submit_plan` for a draft without problems."""
    return {
        "title": draft["title"],
        "description": f"Goal: {goal}",
        "tasks": [_submitted(steps, goal, task) for task in draft["tasks"]],
    }


def last_tasks(draft: Mapping[str, Any]) -> list[str]:
    """The ids of the tasks that no other of the draft waits for, in order."""
    awaited = {one for task in draft["tasks"] for one in task["depends_on"]}
    return sorted(task["id"] for task in draft["tasks"] if task["id"] not in awaited)


def _submitted(steps: Steps, goal: str, task: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "title", "description", "requires", "depends_on", "priority")
    payload = {"goal": goal}
    if task.get(RESULT_SCHEMA) is not None:
        payload[RESULT_SCHEMA] = task[RESULT_SCHEMA]
    return {
        **{name: task[name] for name in kept if name in task},
        "payload": payload,
        "labels": {LABEL: steps.id},
        "retry": RETRY,
    }


def _check_shape(draft: Draft) -> None:
    """What the decision about a plan refuses: ids used twice or unknown, circles. Dependencies are
    on tasks of the draft only, so there is no need to know of others."""
    specs = [
        PlanTaskSpec(
            task_id=task.id,
            requires=requirement_specs(task.requires),
            depends_on=tuple(DependencySpec(one) for one in task.depends_on),
        )
        for task in draft.tasks
    ]
    planned_tasks(TenantState("draft"), "draft", specs)
    for number, task in enumerate(draft.tasks):
        if task.result_schema is not None:
            check_schema(task.result_schema, f"tasks.{number}.{RESULT_SCHEMA}")


async def _unstaffed(steps: Steps, number: int, task: DraftTask) -> str | None:
    """That nobody could do the task, in words."""
    levels = {one.capability: one.level for one in task.requires}
    params: dict[str, Any] = {"names": sorted(levels), "levels": levels, "limit": 1}
    name = "capable_agents"
    if steps.team_id is not None:
        name = "capable_members"
        params["team_id"] = steps.team_id
    else:
        params["available"] = False
    found = await steps.calls("run_named_query", name=name, params=params)
    if found["rows"]:
        return None
    needs = ", ".join(f"{one} at {level:g}" for one, level in sorted(levels.items()))
    return f"tasks.{number}.requires: nobody has {needs}; use capabilities that there are"
