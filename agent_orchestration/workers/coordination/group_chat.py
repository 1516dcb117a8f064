"""Group chat: members speak in turn into one conversation."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from agent_orchestration.workers.coordination.options import (
    Options,
    Participant,
    Participants,
    final,
    instructed,
    once,
    result_or,
)
from agent_orchestration.workers.coordination.steps import Steps

SPEAK = (
    "It is your turn to speak in a conversation about the goal. The payload has what was said so"
    " far. Answer what you say in `text`."
)
MODERATE = (
    "Moderate a conversation about the goal. The payload has what was said so far. Answer either"
    " `next`, who of `members` is to speak, or `result`, where the goal is reached."
)
SPEECH = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 8000}},
}


class GroupChatOptions(Options):
    """Who speaks, and who decides whose turn it is: everybody in order, or a moderator."""

    members: Participants
    policy: Literal["round_robin", "moderator"] = "round_robin"
    moderator: Participant | None = None
    turns: Annotated[int, Field(ge=1, le=200)] = 10

    _once = field_validator("members")(once)

    @model_validator(mode="after")
    def _has_its_moderator(self) -> "GroupChatOptions":
        if (self.policy == "moderator") != (self.moderator is not None):
            raise ValueError("moderator: goes with the policy moderator, and has to be named then")
        return self


async def group_chat(steps: Steps, options: GroupChatOptions) -> Any:
    """What the moderator answers, or with `round_robin` {"said": [{"who", "text"}]} after all
    turns. A moderator without a result ends it with `too_many_turns`."""
    members = {member.name: member for member in options.members}
    said: list[dict[str, str]] = []
    for turn in range(options.turns):
        speaker = options.members[turn % len(members)]
        if options.moderator is not None:
            answer = await _moderated(steps, options.moderator, options, said)
            if "result" in answer:
                return answer["result"]
            speaker = members[answer["next"]]
        said = [*said, await _spoken(steps, speaker, options, said)]
    if options.moderator is None:
        return {"said": said}
    answer = await _moderated(steps, options.moderator, options, said)
    if "result" in answer:
        return answer["result"]
    raise final("too_many_turns", f"no result after {options.turns} turns")


async def _moderated(
    steps: Steps, moderator: Participant, options: GroupChatOptions, said: list[dict[str, str]]
) -> Any:
    names = [member.name for member in options.members]
    return await steps.result(
        f"moderate-{len(said) + 1}",
        title=f"Moderate, turn {len(said) + 1}",
        description=instructed(MODERATE, options.goal),
        payload={"goal": options.goal, "members": names, "said": said},
        result_schema=result_or(next={"type": "string", "enum": names}),
        **moderator.who,
    )


async def _spoken(
    steps: Steps, speaker: Participant, options: GroupChatOptions, said: list[dict[str, str]]
) -> dict[str, str]:
    turn = len(said) + 1
    done = await steps.done(
        f"turn-{turn}",
        title=f"Speak, turn {turn}",
        description=instructed(SPEAK, options.goal),
        payload={"goal": options.goal, "said": said},
        result_schema=SPEECH,
        **speaker.who,
    )
    await steps.say(f"turn-{turn}", done.result["text"], agent_id=done.agent_id)
    return {"who": speaker.name, "text": done.result["text"]}
