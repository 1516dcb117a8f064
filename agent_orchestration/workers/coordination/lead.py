"""Lead: one hands out tasks, round by round, and ends the work."""

import asyncio
from typing import Annotated, Any

from pydantic import Field, field_validator

from agent_orchestration.workers.coordination.options import (
    Options,
    Participant,
    Participants,
    final,
    instructed,
    once,
    result_or,
)
from agent_orchestration.workers.coordination.steps import StepFailed, Steps

MOST_AT_ONCE = 20
LEAD = (
    "Lead the work for the goal. Answer either `result`, when it is reached, or `delegations`:"
    " tasks that others do at the same time, each with a `title`, a `description` with all that one"
    " has to know, and whom it is `to` (one of `members` in the payload). `outcomes` has what came"
    " of your delegations so far."
)
_TEXT = {"type": "string", "minLength": 1}


class LeadOptions(Options):
    """Who leads, and whom tasks may be given to."""

    lead: Participant
    members: Participants
    rounds: Annotated[int, Field(ge=1, le=50)] = 5

    _once = field_validator("members")(once)


async def lead(steps: Steps, options: LeadOptions) -> Any:
    """The lead's result. A delegation that fails is told to the lead, who may find another way.
    Ends with `too_many_rounds`."""
    members = {member.name: member for member in options.members}
    outcomes: list[dict[str, Any]] = []
    for number in range(1, options.rounds + 1):
        answer = await steps.result(
            f"lead-{number}",
            title=f"Lead, round {number}",
            description=instructed(LEAD, options.goal),
            payload={"goal": options.goal, "members": [*members], "outcomes": outcomes},
            result_schema=_answer_schema([*members]),
            **options.lead.who,
        )
        if "result" in answer:
            return answer["result"]
        asked = answer["delegations"]
        outcomes = [
            *outcomes,
            *await asyncio.gather(
                *(
                    _delegated(steps, f"task-{number}-{place}", members[one["to"]], one)
                    for place, one in enumerate(asked, 1)
                )
            ),
        ]
    raise final("too_many_rounds", f"no result after {options.rounds} rounds of delegations")


async def _delegated(
    steps: Steps, name: str, member: Participant, asked: dict[str, Any]
) -> dict[str, Any]:
    """What came of a delegation."""
    told = {"title": asked["title"], "to": member.name}
    try:
        result = await steps.result(
            name, title=asked["title"], description=asked["description"], **member.who
        )
    except StepFailed as failed:
        return {**told, "status": failed.status, "error": failed.error}
    return {**told, "status": "completed", "result": result}


def _answer_schema(names: list[str]) -> dict[str, Any]:
    delegation = {
        "type": "object",
        "required": ["title", "description", "to"],
        "properties": {
            "title": {**_TEXT, "maxLength": 500, "pattern": r"^[^\x00-\x1f\x7f]*$"},
            "description": {**_TEXT, "maxLength": 8000},
            "to": {"type": "string", "enum": names},
        },
    }
    several = {"type": "array", "items": delegation, "minItems": 1, "maxItems": MOST_AT_ONCE}
    return result_or(delegations=several)
