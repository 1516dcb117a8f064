"""What a template's settings say of the agents that a language model carries out."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.result_schema import check_schema

ToolName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_*-]{1,64}(?!\n)$")]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ends a task whose model does not: calls of the model, answers that do not fit and are
    sent back, tokens of all calls together and of each answer, characters of what a tool answered
    that it is shown."""

    turns: Annotated[int, Meta(ge=1, le=1000)] = 20
    repairs: Annotated[int, Meta(ge=0, le=100)] = 3
    tokens: Annotated[int, Meta(ge=1, le=100_000_000)] = 200_000
    answer_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] = 8192
    tool_characters: Annotated[int, Meta(ge=100, le=200_000)] = 20_000


class LlmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a template of kind `llm`.

    `instructions` are the system's message, `model` one of the service's (None: the one in the
    worker's settings), `tools` the names of those it may call, `result_schema` the JSON Schema that
    every result has to fit (a task's payload may bring its own under that name).
    """

    instructions: str = ""
    model: str | None = None
    tools: tuple[ToolName, ...] = ()
    result_schema: dict[str, Any] | None = None
    limits: Limits = Limits()


def read_settings(template: str, data: Any) -> LlmSettings:
    """A template's settings. Raises `Rejected`, which names the member that is wrong."""
    try:
        settings = msgspec.convert({} if data is None else data, LlmSettings)
    except msgspec.ValidationError as error:
        raise Rejected(
            "bad_template", f"settings of {template}: {error}", field="settings"
        ) from None
    if settings.result_schema is not None:
        check_schema(settings.result_schema, f"settings of {template}: result_schema")
    return settings
