"""Answers of OpenAI's chat protocol, whole or in pieces, read into one draft.

Read here and not by the client, whose models let anything through and whose reader of streams has
no limit.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any

import msgspec

from agent_orchestration.backends.llm import ToolCall, Usage
from agent_orchestration.backends.llm.openai_errors import bad_answer

MAX_BYTES = 32 * 1024 * 1024
"""Of an answer on the wire: more than any model says, piece by piece with all that surrounds it."""
_DONE = b"[DONE]"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None
    index: int | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class Piece(msgspec.Struct):
    """A part of an answer, or all of it; `error` where the service gives up on the way."""

    choices: list[_Choice] = []
    model: str = ""
    usage: _Usage | None = None
    error: Any = None


class Draft:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.model = ""
        self.usage = Usage()
        self._text: list[str] = []
        self._calls: list[_Call] = []

    @property
    def text(self) -> str:
        """All text so far; where the model refused, its refusal."""
        return "".join(self._text)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, in their order."""
        return tuple(
            ToolCall(
                call.id or f"call_{number}",
                call.function.name or "",
                call.function.arguments or "",
            )
            for number, call in enumerate(self._calls)
        )

    def add(self, piece: Piece) -> str:
        """Take a piece in; answers the text that it brought."""
        self.model = piece.model or self.model
        if piece.usage is not None:
            details = piece.usage.prompt_tokens_details
            cached = (details.cached_tokens if details else None) or 0
            self.usage = Usage(piece.usage.prompt_tokens, piece.usage.completion_tokens, cached)
        if not piece.choices:
            return ""
        choice = piece.choices[0]
        said = choice.message or choice.delta or _Said()
        for call in said.tool_calls or ():
            self._add_call(call)
        self.finish_reason = choice.finish_reason or self.finish_reason
        text = said.content or said.refusal or ""
        self._text.append(text)
        return text

    def check(self) -> None:
        """Raise `Unavailable` unless it is whole."""
        if not self.finish_reason:
            raise bad_answer("ended before it was finished")
        if not all(call.function.name for call in self._calls):
            raise bad_answer("calls a tool without a name")

    def _add_call(self, piece: _Call) -> None:
        known = next((c for c in reversed(self._calls) if c.index == piece.index), None)
        # Some services give all calls one index, or none, but each an id of its own.
        goes_on = known is not None and piece.index is not None and piece.id in {None, "", known.id}
        if known is None or not goes_on:
            self._calls.append(piece)
            return
        more = piece.function
        known.function.name = known.function.name or more.name
        known.function.arguments = (known.function.arguments or "") + (more.arguments or "")


def decoded(text: bytes) -> Piece:
    """The bytes of a JSON object. Raises `Unavailable` where they are none, or of another form."""
    try:
        return msgspec.json.decode(text, type=Piece)
    except (ValueError, RecursionError) as error:
        raise bad_answer(f"is malformed ({error})") from None


async def events(parts: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The data of each server-sent event, up to the one that says that all has been sent."""
    pending: list[bytes] = []
    async for part in parts:
        pending.append(part)
        if b"\n" in part:
            *lines, rest = b"".join(pending).split(b"\n")
            pending = [rest]
            for data in _data(lines):
                if data == _DONE:
                    return
                yield data
    for data in _data([b"".join(pending)]):
        if data != _DONE:
            yield data


def _data(lines: Sequence[bytes]) -> list[bytes]:
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]
