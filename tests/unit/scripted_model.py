"""A `ChatModel` that answers what a test says, in turn, and keeps what it was asked."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent_orchestration.backends.llm import ChatAnswer, Message, ToolCall, ToolSpec, Usage
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.resilience import CircuitBreaker, CircuitBreakerConfig

Step = str | ToolCall | Sequence[ToolCall] | PlatformError | ChatAnswer


class ScriptedModel:
    """Each call takes the next step: a text, calls of tools, an answer, or an error. The last one
    is repeated for ever."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.asked: list[list[Message]] = []
        self.offered: list[list[str]] = []

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (the protocol's name)
        on_text: Callable[[str], None] | None = None,
    ) -> ChatAnswer:
        self.asked.append(copy.deepcopy(list(messages)))
        self.offered.append([tool.name for tool in tools])
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, PlatformError):
            raise step
        if isinstance(step, ChatAnswer):
            return step
        if isinstance(step, str):
            if on_text is not None:
                on_text(step)
            return answer(step)
        return answer("", *([step] if isinstance(step, ToolCall) else step))

    def breaker(self, model: str) -> CircuitBreaker:
        return CircuitBreaker(model, CircuitBreakerConfig(), time.monotonic)

    async def close(self) -> None:
        """Nothing is open."""


def answer(text: str, *calls: ToolCall, finish_reason: str = "stop") -> ChatAnswer:
    """An answer that cost ten tokens and five."""
    usage = Usage(prompt_tokens=10, completion_tokens=5)
    reason = "tool_calls" if calls else finish_reason
    return ChatAnswer(text, calls, reason, "scripted", usage, 0.0, 1)
