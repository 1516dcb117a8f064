"""What the stand-in answers, and what it counts for it, on the wire of OpenAI's protocol."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from agent_orchestration.stand_in_model.requests import Message, Request
from agent_orchestration.stand_in_model.script import Scripted
from agent_orchestration.stand_in_model.smallest import smallest

MODEL_PREFIX = "stand-in/"
"""Begins the name of the model in every answer."""
CHARACTERS = 4
"""Of a token."""
_PIECE = 64 * 1024
_QUOTED = 200


class Answer(msgspec.Struct, frozen=True):
    """An answer: text, calls as (name, arguments), and why it ended."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"


def tokens(text: str) -> int:
    """Tokens of a text: one for every four characters that were begun."""
    return -(-len(text) // CHARACTERS)


def default_answer(request: Request) -> Answer:
    """The answer that the request alone determines: the smallest value of the schema that it asks
    for, a call of the tool that it insists on, else its last message again."""
    if (wanted := request.response_format) is not None and wanted.type != "text":
        schema = wanted.json_schema.schema if wanted.json_schema else {"type": "object"}
        return limited(Answer(_json(smallest(schema))), request)
    name: str | None = None
    if isinstance(request.tool_choice, dict):
        name = request.tool_choice.get("function", {}).get("name")
    for tool in request.tools:
        if tool.function.name == name or request.tool_choice == "required":
            arguments = _json(smallest(tool.function.parameters))
            return Answer(calls=((tool.function.name, arguments),), finish_reason="tool_calls")
    said = request.messages[-1].text[:_QUOTED]
    return limited(Answer(f"A stand-in for a model was told: {said}"), request)


def scripted_answer(scripted: Scripted, request: Request) -> Answer:
    """The answer that the script has."""
    text = scripted.text if scripted.json is msgspec.UNSET else _json(scripted.json)
    if not scripted.tool_calls:
        return limited(Answer(text), request)
    calls = tuple(
        (call.name, call.arguments if isinstance(call.arguments, str) else _json(call.arguments))
        for call in scripted.tool_calls
    )
    return Answer(text, calls, "tool_calls")


def limited(answer: Answer, request: Request) -> Answer:
    """The answer within the tokens that the request allows."""
    if request.limit is None or tokens(answer.text) <= request.limit:
        return answer
    return Answer(answer.text[: request.limit * CHARACTERS], finish_reason="length")


def usage(answer: Answer, request: Request) -> dict[str, Any]:
    """The tokens of request and answer. What came before the last answer of the assistant counts
    as cached: it has been sent before."""
    sizes = [_size(message) for message in request.messages]
    offered = sum(tokens(_json(tool)) for tool in request.tools)
    said = [n for n, message in enumerate(request.messages) if message.role == "assistant"]
    cached = sum(sizes[: said[-1]]) if said else 0
    spoken = tokens(answer.text) + sum(tokens(name + text) for name, text in answer.calls)
    return {
        "prompt_tokens": sum(sizes) + offered,
        "completion_tokens": spoken,
        "total_tokens": sum(sizes) + offered + spoken,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def completion(answer: Answer, request: Request, number: int) -> dict[str, Any]:
    """The answer in one; `number` is the request's."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [_call(answer, number, index) for index in range(len(answer.calls))]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return _object("chat.completion", request, number, [choice]) | {"usage": usage(answer, request)}


def chunks(answer: Answer, request: Request, number: int) -> Iterator[dict[str, Any]]:
    """The same in pieces: words, and the arguments of calls in halves."""
    for delta in _deltas(answer, number):
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield _object("chat.completion.chunk", request, number, [choice])
    last: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": answer.finish_reason}
    yield _object("chat.completion.chunk", request, number, [last])
    if request.stream_options is not None and request.stream_options.include_usage:
        ended = _object("chat.completion.chunk", request, number, [])
        yield ended | {"usage": usage(answer, request)}


def _deltas(answer: Answer, number: int) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for word in re.findall(r" ?[^ ]+| +", answer.text):
        for start in range(0, len(word), _PIECE):
            yield {"content": word[start : start + _PIECE]}
    for index in range(len(answer.calls)):
        call = _call(answer, number, index)
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        name = {**call["function"], "arguments": arguments[:half]}
        yield {"tool_calls": [{**call, "index": index, "function": name}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}


def _call(answer: Answer, number: int, index: int) -> dict[str, Any]:
    name, arguments = answer.calls[index]
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{number}_{index}", "type": "function", "function": function}


def _object(
    kind: str, request: Request, number: int, choices: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-stand-in-{number}",
        "object": kind,
        "created": 0,
        "model": f"{MODEL_PREFIX}{request.model}",
        "system_fingerprint": "stand-in",
        "choices": choices,
    }


def _size(message: Message) -> int:
    return tokens(_json(message))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
