"""From a goal to a plan: somebody drafts it, somebody approves it, everybody carries it out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from agent_orchestration.workers.coordination.draft import (
    DRAFT_SCHEMA,
    last_tasks,
    problems,
    submission,
)
from agent_orchestration.workers.coordination.options import CAPABILITY, Options, Participant, final
from agent_orchestration.workers.coordination.steps import INVALID_RESULT, StepFailed, Steps

MOST_INVALID = 3
"""So many drafts in a row may be wrong."""
MOST_REFUSED = 10
"""So many drafts may be refused."""
SHORT = 2000
"""Characters of a result or an error that the next draft is told."""
KEPT = ("name", "description", "agents")
"""What planners are told of a capability."""
PLANNING = Participant(capability="planning")
INSTRUCTIONS = """Draft a plan that reaches the goal: a title, and tasks that others will do.

Each task has an id (letters, digits, - and _), a title in one line, a description with all that \
one has to know to do it, the capabilities that it requires (at least one, of those that the \
payload lists), and the ids of the tasks of this plan whose results it needs; those are told to \
whoever does it. \
Keep tasks independent where you can: they are done at the same time. The results of the tasks \
that no other waits for are the result of the goal. Give a task a result_schema (JSON Schema) \
where the form of its result matters.

Where the payload has `problems`, `comment` or `failed`, draft the plan anew and mend that; what \
is under `done` need not be done again.

Goal: """


class PlanOptions(Options):
    """What a plan is made for. `replans`: how often a new one follows a plan that failed."""

    approval: Literal["ask", "none"] = "ask"
    replans: Annotated[int, Field(ge=0, le=10)] = 2
    planner: Participant = PLANNING


class _Drafting:
    """The drafts of one goal, numbered from 1."""

    def __init__(self, steps: Steps, options: PlanOptions) -> None:
        self._steps = steps
        self._options = options
        self._number = 0
        self._refused = 0

    async def approved(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """A draft that is valid and, where that is asked for, approved."""
        while True:
            draft = await self._valid(told)
            if self._options.approval == "none":
                return draft
            answer = await self._answer(draft)
            if answer["approved"]:
                return draft
            self._refused += 1
            comment = answer.get("comment")
            if comment is None or self._refused >= MOST_REFUSED:
                raise final(
                    "plan_rejected", f"draft {self._number} was refused: {comment or 'no why'}"
                )
            told = {**told, "previous_draft": draft, "comment": comment}

    async def _valid(self, told: Mapping[str, Any]) -> dict[str, Any]:
        found: list[str] = []
        for _ in range(MOST_INVALID):
            self._number += 1
            draft, found = await self._draft(told)
            if not found:
                return draft
            told = {**told, "previous_draft": draft, "problems": found}
        raise final("no_valid_plan", f"{MOST_INVALID} drafts were wrong, the last one: {found[0]}")

    async def _draft(self, told: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """The next draft, and what is wrong with it."""
        name, goal = f"draft-{self._number}", self._options.goal
        try:
            draft = await self._steps.result(
                name,
                title=f"Plan: {short_title(goal)}",
                description=INSTRUCTIONS + goal,
                payload={"capabilities": await self._capabilities(), **told},
                result_schema=DRAFT_SCHEMA,
                **self._options.planner.who,
            )
        except StepFailed as failed:
            if failed.cause != INVALID_RESULT:
                raise
            return None, [failed.error]

        async def checked() -> Mapping[str, Any]:
            return {"problems": await problems(self._steps, draft)}

        checks = await self._steps.recorded(
            f"check-{self._number}", f"Draft {self._number} was checked.", checked
        )
        return draft, checks["problems"]

    async def _capabilities(self) -> list[dict[str, Any]]:
        """What there is, with how many agents have it."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self._steps.calls("list_capabilities", limit=200, cursor=cursor)
            every = page["capabilities"]
            # A coordinator does no work of its own.
            there = (one for one in every if one["agents"] and one["name"] != CAPABILITY)
            found += [{name: one[name] for name in KEPT if name in one} for one in there]
            cursor = page.get("next_cursor")
            if cursor is None:
                return found

    async def _answer(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """What a person says to the draft: {"approved", "comment"?}. What agents say does not
        count: a planner may not approve its own plan."""
        question = await self._steps.say(
            f"approve-{self._number}",
            f"Is this plan to be carried out? {draft['title']}: {len(draft['tasks'])} tasks",
            kind="question",
            data={"draft": draft},
        )
        asked = {"stage": "approval", "question": question["number"], "draft": draft}
        await self._steps.task.progress(asked)
        await self._steps.task.flush()
        answer = await self._steps.answer_to(question["number"], _is_verdict)
        return answer["data"]


async def plan_goal(steps: Steps, options: PlanOptions) -> Any:
    """Draft, check, approve, carry out; and plan anew where that failed. The result has the plan's
    id, and the results of its last tasks by their ids within it.

    Ends with `no_valid_plan`, `plan_rejected` or `plan_failed`.
    """
    drafting = _Drafting(steps, options)
    told: dict[str, Any] = {"goal": options.goal}
    for number in range(1, options.replans + 2):
        draft = await drafting.approved(told)
        await steps.task.progress({"stage": "carrying out", "plan_id": f"{steps.id}-{number}"})
        plan = await steps.plan(number, submission(steps, options.goal, draft))
        if plan["status"] == "completed":
            results = {one: await _result(steps, plan["id"], one) for one in last_tasks(draft)}
            return {"plan_id": plan["id"], "results": results}
        told = {**told, "previous_draft": draft, **await _outcome(steps, plan["id"], draft)}
        if plan["status"] == "cancelled":
            raise final("plan_failed", f"plan {plan['id']} was cancelled")
    failed = "; ".join(f"{one['id']}: {one['error']}" for one in told["failed"][:3])
    raise final("plan_failed", f"{options.replans + 1} plans failed, the last one by {failed}")


def short_title(goal: str) -> str:
    """The goal in one line."""
    return " ".join(goal.split())[:200]


def _is_verdict(answer: Mapping[str, Any]) -> bool:
    if answer["author_kind"] != "principal" or not isinstance(answer["data"], dict):
        return False
    return isinstance(cast("dict[str, Any]", answer["data"]).get("approved"), bool)


async def _result(steps: Steps, plan_id: str, local_id: str) -> Any:
    answer = await steps.calls("get_task", task_id=f"{plan_id}.{local_id}")
    return await steps.calls.whole(answer["task"].get("result"))


async def _outcome(steps: Steps, plan_id: str, draft: Mapping[str, Any]) -> dict[str, Any]:
    """What was done and what failed of a plan, for the next draft."""
    done: dict[str, Any] = {}
    failed: list[dict[str, Any]] = []
    for task in draft["tasks"]:
        view = (await steps.calls("get_task", task_id=f"{plan_id}.{task['id']}"))["task"]
        if view["status"] == "completed":
            done[task["id"]] = str(await steps.calls.whole(view.get("result")))[:SHORT]
        elif view["status"] == "failed":
            error = (view.get("error") or "")[:SHORT]
            failed.append({"id": task["id"], "title": task["title"], "error": error})
    return {"done": done, "failed": failed}
