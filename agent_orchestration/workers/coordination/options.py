"""What a way of working is asked for: its options, and who takes part."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import Field, model_validator

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.types import Id, Text
from agent_orchestration.workers.held import TaskError

OptionsT = TypeVar("OptionsT", bound="Options")

CAPABILITY = "coordination"
"""What a coordinator can do."""
Goal = Annotated[Text, Field(min_length=1, max_length=4000)]
Instructions = Annotated[Text, Field(max_length=4000)]


class Participant(Arguments):
    """Who does a step: a certain agent, or any that has the capability."""

    agent_id: Id | None = None
    capability: Id | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Participant":
        if (self.agent_id is None) == (self.capability is None):
            raise ValueError("name either agent_id or capability")
        return self

    @property
    def name(self) -> str:
        """What others call it."""
        return self.agent_id or self.capability or ""

    @property
    def who(self) -> dict[str, Any]:
        """The arguments of `Steps.done` that name it."""
        if self.agent_id is not None:
            return {"agent_id": self.agent_id}
        return {"requires": [{"capability": self.capability}]}


Participants = Annotated[list[Participant], Field(min_length=1, max_length=20)]


class Options(Arguments):
    """What every way of working is asked for: the goal, and the team whose members do the steps."""

    goal: Goal
    team_id: Id | None = None


def read_options(model: type[OptionsT], given: Any) -> OptionsT:
    """The options in a payload. Raises `TaskError` (`invalid_input`), which names the field."""
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in found["loc"]) or "payload"
        problem = found["msg"].removeprefix("Value error, ")
        raise final("invalid_input", f"{field}: {problem}") from None


def once(members: list[Participant]) -> list[Participant]:
    """The members. Raises `ValueError` where two of them go by one name."""
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise ValueError("a member is named twice; name each once")
    return members


def instructed(rules: str, goal: str, more: str = "") -> str:
    """The description of a step: what it is, what is asked for beyond that, and the goal."""
    return "\n\n".join(filter(None, [rules, more, f"Goal: {goal}"]))


def result_or(**others: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an answer that ends the work with its `result`, or has these members
    instead, all of them."""
    choices = [{"required": ["result"]}, {"required": [*others]}]
    return {"type": "object", "properties": {"result": {}, **others}, "oneOf": choices}


def final(error_type: str, message: str) -> TaskError:
    """The error that ends the coordinating task for good."""
    return TaskError(message, error_type=error_type, retryable=False)
