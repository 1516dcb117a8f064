"""Handoff: the agent at work ends the work, or hands it to another."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from agent_orchestration.workers.coordination.options import (
    Options,
    Participants,
    final,
    instructed,
    once,
    result_or,
)
from agent_orchestration.workers.coordination.steps import Steps

WORK = (
    "Work for the goal. Answer either `result`, or, where another is better suited, `handoff_to`"
    " (one of `members` in the payload) with the `reason`. `handoffs` says who had it before, and"
    " why it was handed on."
)


class HandoffOptions(Options):
    """Who may work on it; the first one begins."""

    members: Participants
    handoffs: Annotated[int, Field(ge=1, le=100)] = 10

    _once = field_validator("members")(once)


async def handoff(steps: Steps, options: HandoffOptions) -> Any:
    """The result of whoever ended the work. Ends with `too_many_handoffs`."""
    members = {member.name: member for member in options.members}
    at_work, before = options.members[0], list[dict[str, Any]]()
    for number in range(1, options.handoffs + 2):
        done = await steps.done(
            f"work-{number}",
            title=f"Work, {at_work.name}"[:500],
            description=instructed(WORK, options.goal),
            payload={"goal": options.goal, "members": [*members], "handoffs": before},
            result_schema=_answer_schema([*members]),
            **at_work.who,
        )
        if "result" in done.result:
            return done.result["result"]
        following, reason = members[done.result["handoff_to"]], done.result["reason"]
        await steps.say(
            f"handoff-{number}",
            reason,
            kind="handoff",
            agent_id=done.agent_id,
            to=following.agent_id,
            data={"handoff_to": following.name},
        )
        before = [*before, {"from": at_work.name, "to": following.name, "reason": reason}]
        at_work = following
    raise final("too_many_handoffs", f"no result after {options.handoffs} handoffs")


def _answer_schema(names: list[str]) -> dict[str, Any]:
    reason = {"type": "string", "minLength": 1, "maxLength": 8000}
    return result_or(handoff_to={"type": "string", "enum": names}, reason=reason)
