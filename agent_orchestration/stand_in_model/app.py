"""The stand-in's HTTP application."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agent_orchestration.stand_in_model.answers import (
    Answer,
    chunks,
    completion,
    default_answer,
    scripted_answer,
    usage,
)
from agent_orchestration.stand_in_model.faults import (
    BROKEN,
    broken,
    faulty_answer,
    refusal,
    unknown_model,
)
from agent_orchestration.stand_in_model.requests import Refusal, Request, parse
from agent_orchestration.stand_in_model.script import Rule, Script

HEADERS = {"X-Stand-In-Model": "true", "Cache-Control": "no-store"}
"""Of every answer: it comes from no model."""
DEFAULT_MODELS = ("stand-in",)
_JSON, _EVENTS = "application/json", "text/event-stream"

Handler = Callable[[HttpRequest], Awaitable[Response]]


class Billed(msgspec.Struct):
    """What one key asked of one model: requests, those that were answered in whole, and the tokens
    of these."""

    key: str
    model: str
    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


def key_name(key: str) -> str:
    """How a key is called where it is counted: whoever has it knows it again, nobody learns it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else "none"


def create_stand_in(script: Script | None = None) -> Starlette:
    """The application: `/v1/chat/completions` and `/v1/models` of OpenAI's protocol, and its own
    `/stand-in/usage` and `/stand-in/reset`."""
    stand_in = _StandIn(script or Script())
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _refusing(stand_in.chat), methods=["POST"]),
            Route("/v1/models", stand_in.models),
            Route("/stand-in/usage", stand_in.usage),
            Route("/stand-in/reset", stand_in.reset, methods=["POST"]),
        ]
    )


class _StandIn:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._calls = 0
        self._billed: dict[tuple[str, str], Billed] = {}

    async def chat(self, http: HttpRequest) -> Response:
        self._calls += 1
        number = self._calls
        request = parse(await http.body())
        key = key_name(http.headers.get("authorization", "").removeprefix("Bearer "))
        billed = self._billed.setdefault((key, request.model), Billed(key, request.model))
        billed.requests += 1
        if self._script.models and request.model not in self._script.models:
            raise unknown_model(request.model)
        rule = self._script.rule(request.messages[-1].text, request.model, number)
        if rule is not None and (refused := refusal(rule, request)) is not None:
            raise refused
        answer = _answer(rule, request)
        parts, media = _parts(answer, request, number)
        if rule is not None and rule.fault in BROKEN:
            return broken(rule.fault, parts, HEADERS, media)
        _bill(billed, usage(answer, request))
        if not request.stream:
            return Response(parts[0], headers=HEADERS, media_type=media)
        return StreamingResponse(_each(parts), headers=HEADERS, media_type=media)

    async def models(self, http: HttpRequest) -> Response:
        del http
        names = self._script.models or DEFAULT_MODELS
        found = [{"id": name, "object": "model", "owned_by": "stand-in"} for name in names]
        return _json({"object": "list", "data": found})

    async def usage(self, http: HttpRequest) -> Response:
        del http
        return _json({"calls": self._calls, "billed": list(self._billed.values())})

    async def reset(self, http: HttpRequest) -> Response:
        del http
        self._calls = 0
        self._billed.clear()
        return _json({"calls": 0, "billed": []})


def _answer(rule: Rule | None, request: Request) -> Answer:
    if rule is None:
        return default_answer(request)
    if rule.answer is not None:
        return scripted_answer(rule.answer, request)
    return faulty_answer(rule, request) or default_answer(request)


def _parts(answer: Answer, request: Request, number: int) -> tuple[list[bytes], str]:
    """The answer's bytes, whole or event by event, and what they are."""
    if not request.stream:
        return [msgspec.json.encode(completion(answer, request, number))], _JSON
    pieces = [msgspec.json.encode(piece) for piece in chunks(answer, request, number)]
    return [b"data: " + piece + b"\n\n" for piece in (*pieces, b"[DONE]")], _EVENTS


async def _each(parts: list[bytes]) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


def _bill(billed: Billed, used: dict[str, Any]) -> None:
    billed.answers += 1
    billed.prompt_tokens += used["prompt_tokens"]
    billed.completion_tokens += used["completion_tokens"]
    billed.cached_tokens += used["prompt_tokens_details"]["cached_tokens"]


def _json(data: Any) -> Response:
    return Response(msgspec.json.encode(data), headers=HEADERS, media_type=_JSON)


def _refusing(handler: Handler) -> Handler:
    """The handler, with refusals as OpenAI's service words them."""

    async def answer(http: HttpRequest) -> Response:
        try:
            return await handler(http)
        except Refusal as error:
            content = msgspec.json.encode(error.body)
            headers = {**HEADERS, **error.headers}
            return Response(content, error.status, headers, _JSON)

    return answer
