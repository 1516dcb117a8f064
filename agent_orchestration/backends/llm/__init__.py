"""Language models: one protocol for every service that answers a conversation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from agent_orchestration.resilience import CircuitBreaker

Message = Mapping[str, Any]
"""A message in OpenAI's form: `{"role": "system" | "user" | "assistant" | "tool", "content": …}`,
with `tool_calls` where an assistant called tools, and `tool_call_id` where a tool answers one."""

BEGIN_ANEW: Final = ""
"""What `on_text` is told when the pieces so far are void and the answer begins anew. No piece of an
answer is empty."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool that the model may call; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model wants. `arguments` is the text that came: JSON, unless the model erred;
    neither it nor the name was checked against the tools."""

    id: str
    name: str
    arguments: str


class Usage(msgspec.Struct, frozen=True):
    """What an answer cost in tokens; `cached_tokens` are part of `prompt_tokens`. All 0 where the
    service does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class ChatAnswer(msgspec.Struct, frozen=True):
    """A model's answer. `model` is what answered, as the service names it; `finish_reason` is the
    service's: `stop`, `length` (the limit of tokens was reached), `tool_calls`, `content_filter`.
    `seconds` from the call to the answer, waits included; `attempts` requests that it took."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    model: str
    usage: Usage
    seconds: float
    attempts: int


class ChatModel(Protocol):
    """A service of language models."""

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (of each attempt, not of the call)
        on_text: Callable[[str], None] | None = None,
    ) -> ChatAnswer:
        """The model's answer to the conversation.

        `schema`: a JSON Schema that the text should keep to; the caller checks that it does.
        `max_tokens` limits the answer. `timeout`: seconds that an attempt may take, in place of the
        setting; with `on_text` those between two pieces. `on_text` is told each piece of text as it
        comes, and `BEGIN_ANEW` when a broken answer is asked for again.

        Raises `Rejected` (`model_key`, `unknown_model`, `model_refused`, `model_quota`), `Busy`
        (`model_busy`) and `Unavailable` (`model_unavailable`, `model_timeout`, `model_bad_answer`,
        `model_circuit_open`); the latter two may say `retry_after` in seconds. A request that ended
        with `Unavailable` may have been billed; `may_be_billed` says where it is otherwise.
        """
        ...

    def breaker(self, model: str) -> CircuitBreaker:
        """What guards the calls of that model."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
