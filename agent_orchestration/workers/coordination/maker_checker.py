"""Maker and checker: one makes something, another checks it, until it is good."""

from typing import Annotated, Any

from pydantic import Field

from agent_orchestration.workers.coordination.options import (
    Instructions,
    Options,
    Participant,
    final,
    instructed,
)
from agent_orchestration.workers.coordination.steps import Steps

MAKE = "Make what the goal asks for. Where the payload has `comments`, mend `previous` by them."
CHECK = (
    "Check whether `made` in the payload reaches the goal. Answer `approved`, and in `comments`"
    " what has to be mended."
)
VERDICT = {
    "type": "object",
    "required": ["approved", "comments"],
    "properties": {"approved": {"type": "boolean"}, "comments": {"type": "string"}},
}


class MakerCheckerOptions(Options):
    """Who makes, who checks by which criteria, and how often at most."""

    maker: Participant
    checker: Participant
    criteria: Instructions = ""
    result_schema: dict[str, Any] | None = None
    rounds: Annotated[int, Field(ge=1, le=20)] = 3


async def maker_checker(steps: Steps, options: MakerCheckerOptions) -> Any:
    """What the checker approved. Ends with `not_approved` after so many rounds."""
    payload: dict[str, Any] = {"goal": options.goal}
    comments = ""
    for number in range(1, options.rounds + 1):
        made = await steps.result(
            f"make-{number}",
            title=f"Make, round {number}",
            description=instructed(MAKE, options.goal, options.criteria),
            payload=payload,
            result_schema=options.result_schema,
            **options.maker.who,
        )
        verdict = await steps.result(
            f"check-{number}",
            title=f"Check, round {number}",
            description=instructed(CHECK, options.goal, options.criteria),
            payload={"goal": options.goal, "made": made},
            result_schema=VERDICT,
            **options.checker.who,
        )
        if verdict["approved"]:
            return made
        comments = verdict["comments"]
        payload = {"goal": options.goal, "previous": made, "comments": comments}
    raise final("not_approved", f"not approved after {options.rounds} rounds: {comments}")
