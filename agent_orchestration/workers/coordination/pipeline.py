"""Pipeline: stages one after the other, each given what the one before has made."""

from typing import Annotated, Any

from pydantic import Field

from agent_orchestration.workers.coordination.options import (
    Instructions,
    Options,
    Participant,
    instructed,
)
from agent_orchestration.workers.coordination.steps import Steps


class Stage(Participant):
    """Who does a stage, and how; its result has to fit `result_schema`, where there is one."""

    instructions: Instructions = ""
    result_schema: dict[str, Any] | None = None


class PipelineOptions(Options):
    """The stages in order."""

    stages: Annotated[list[Stage], Field(min_length=1, max_length=50)]


async def pipeline(steps: Steps, options: PipelineOptions) -> Any:
    """The result of the last stage. A stage that fails ends it (`step_failed`)."""
    previous: Any = None
    for number, stage in enumerate(options.stages, 1):
        payload: dict[str, Any] = {"goal": options.goal}
        rules = "Do your stage of the work for the goal."
        if number > 1:
            payload["previous"] = previous
            rules = "Do your stage of the work, going on from `previous` in the payload."
        previous = await steps.result(
            f"stage-{number}",
            title=f"Stage {number} of {len(options.stages)}",
            description=instructed(rules, options.goal, stage.instructions),
            payload=payload,
            result_schema=stage.result_schema,
            **stage.who,
        )
    return previous
