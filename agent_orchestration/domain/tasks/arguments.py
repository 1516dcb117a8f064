"""Objects inside the arguments of tools about tasks, and the way from them to commands."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.types import Id, Line
from agent_orchestration.domain.tasks.model import (
    DependencySpec,
    EdgePolicy,
    RequirementSpec,
    RetryPolicy,
)


class RequirementArgument(Arguments):
    """A required capability and its least level."""

    capability: Annotated[Id, Field(description="e.g. `python`")]
    level: float = Field(default=0.0, ge=0, le=1, description="0 to 1")


class DependencyArgument(Arguments):
    """A task to wait for; its id alone will do."""

    task_id: Id
    on_failure: Annotated[
        EdgePolicy | None,
        Field(
            description="when it fails or is cancelled: stay blocked, cancel this, or continue as"
            " if it had completed (default: block; in plans: cancel)"
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: Any) -> Any:
        return {"task_id": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Text or object; told apart here, so that an error names the field that is wrong."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class RetryArgument(Arguments):
    """What follows a failed attempt: another one, later and later."""

    max_attempts: int = Field(
        default=0, ge=0, le=1_000_000, description="0: no limit; given back ones do not count"
    )
    initial_seconds: float = Field(default=1.0, ge=0, le=86_400)
    factor: int = Field(default=2, ge=1, le=100)
    max_seconds: float | None = Field(
        default=None, ge=0, le=31_536_000, description="default 100 x initial"
    )
    non_retryable: list[Line] = Field(
        default=[], max_length=50, description="error types that end it"
    )


Requires = Annotated[
    list[RequirementArgument] | None,
    Field(max_length=50, description='e.g. [{"capability": "python", "level": 0.5}]'),
]
Retry = Annotated[
    RetryArgument | None,
    Field(description="what follows a failed attempt (default: retried without limit)"),
]


def requirement_specs(
    requires: Iterable[RequirementArgument] | None,
) -> tuple[RequirementSpec, ...]:
    """Requirements as commands take them, levels in thousandths."""
    return tuple(RequirementSpec(one.capability, round(one.level * 1000)) for one in requires or ())


def dependency_specs(
    depends_on: Iterable[DependencyArgument] | None, on_failure: EdgePolicy
) -> tuple[DependencySpec, ...]:
    """Dependencies as commands take them; `on_failure` is for those that do not say."""
    return tuple(
        DependencySpec(one.task_id, one.on_failure or on_failure) for one in depends_on or ()
    )


def retry_policy(retry: RetryArgument | None) -> RetryPolicy:
    """The policy in milliseconds."""
    retry = retry or RetryArgument()
    initial = round(retry.initial_seconds * 1000)
    longest = 100 * initial if retry.max_seconds is None else round(retry.max_seconds * 1000)
    return RetryPolicy(
        initial, retry.factor, longest, retry.max_attempts, tuple(retry.non_retryable)
    )
