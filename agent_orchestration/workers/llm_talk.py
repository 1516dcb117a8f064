"""The conversation of a task with a language model, as it is kept with the task.

Every message is part of the task's progress before the next step is taken, so that a later attempt
goes on where this one ended: no answer is asked for twice, no tool that answered is called again.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from agent_orchestration.backends.llm import ChatAnswer
from agent_orchestration.core.messages import canonical
from agent_orchestration.workers.held import PROGRESS_LENGTH, HeldTask, TaskError

Message = dict[str, Any]
PARTIAL_LENGTH = 2000
#: Room for what else the progress holds.
LONGEST = PROGRESS_LENGTH - 10_000


class Talk:
    """The messages, as the service's protocol has them, and what they cost."""

    def __init__(self, task: HeldTask, messages: list[Message], usage: Mapping[str, int]) -> None:
        self._task = task
        self.messages = messages
        self.calls = usage.get("calls", 0)
        self.prompt_tokens = usage.get("prompt_tokens", 0)
        self.completion_tokens = usage.get("completion_tokens", 0)
        self.repairs = usage.get("repairs", 0)

    @classmethod
    def of(cls, task: HeldTask) -> "Talk":
        """That of an earlier attempt, or an empty one."""
        before: object = task.previous_progress
        if isinstance(before, dict) and "messages" in before:
            known = cast("dict[str, Any]", before)
            return cls(task, known["messages"], known.get("usage", {}))
        return cls(task, [], {})

    @property
    def tokens(self) -> int:
        """Of all calls together."""
        return self.prompt_tokens + self.completion_tokens

    def answered(self, answer: ChatAnswer) -> None:
        """The model said something."""
        message: Message = {"role": "assistant", "content": answer.text}
        if answer.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in answer.tool_calls
            ]
        self.messages.append(message)
        self.calls += 1
        self.prompt_tokens += answer.usage.prompt_tokens
        self.completion_tokens += answer.usage.completion_tokens

    def unanswered(self) -> list[Message]:
        """The calls of tools that wait for an answer."""
        for number in range(len(self.messages) - 1, -1, -1):
            message = self.messages[number]
            if message["role"] == "assistant":
                done = {one.get("tool_call_id") for one in self.messages[number + 1 :]}
                return [one for one in message.get("tool_calls", []) if one["id"] not in done]
        return []

    def final(self) -> str | None:
        """What the model said last, if it asked for nothing."""
        last = self.messages[-1] if self.messages else {"role": "user"}
        if last["role"] != "assistant" or last.get("tool_calls"):
            return None
        return last["content"]

    async def keep(self) -> None:
        """Make it part of the task. Raises `TaskError` where it has become too long for that."""
        record = self._record()
        if len(canonical(record)) > LONGEST:
            problem = f"the conversation is longer than {LONGEST} bytes; split the task"
            raise TaskError(problem, error_type="conversation_too_long", retryable=False)
        await self._task.progress(record)
        await self._task.flush()

    async def show(self, partial: str) -> None:
        """Tell those who watch what the model is saying."""
        await self._task.progress({**self._record(), "partial": partial[-PARTIAL_LENGTH:]})

    def _record(self) -> dict[str, Any]:
        usage = {
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "repairs": self.repairs,
        }
        return {"messages": self.messages, "usage": usage}


def text_of(value: Any) -> str:
    """JSON as a model reads it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
