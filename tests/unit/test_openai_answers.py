"""Answers put together from what services send, which keep to the protocol more or less."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai
import pytest

from agent_orchestration.backends.llm import ToolCall, Usage
from agent_orchestration.backends.llm.openai_answers import Draft, decoded, events
from agent_orchestration.backends.llm.openai_errors import reported, translated
from agent_orchestration.core.errors import Unavailable

END = b'{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}'


def draft(*pieces: bytes) -> Draft:
    made = Draft()
    for piece in pieces:
        made.add(decoded(piece))
    made.check()
    return made


def delta(calls: str) -> bytes:
    return b'{"choices": [{"delta": {"tool_calls": [%s]}}]}' % calls.encode()


def test_calls_come_in_pieces_by_index() -> None:
    found = draft(
        delta('{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{"}}'),
        delta('{"index": 1, "id": "b", "function": {"name": "y", "arguments": "1"}}'),
        delta('{"index": 0, "function": {"arguments": "}"}}'),
        END,
    )
    assert found.tool_calls == (ToolCall("a", "x", "{}"), ToolCall("b", "y", "1"))


@pytest.mark.parametrize("index", ['"index": 0, ', ""])
def test_calls_with_one_index_or_none_are_told_apart_by_their_ids(index: str) -> None:
    calls = [delta(f'{{{index}"id": "{n}", "function": {{"name": "x"}}}}') for n in "ab"]
    assert draft(*calls, END).tool_calls == (ToolCall("a", "x", ""), ToolCall("b", "x", ""))


def test_calls_without_ids_get_some() -> None:
    calls = delta('{"function": {"name": "x"}}, {"function": {"name": "y"}}')
    assert [call.id for call in draft(calls, END).tool_calls] == ["call_0", "call_1"]


def test_a_refusal_is_the_text_and_usage_may_be_missing_or_short() -> None:
    body = b'{"choices": [{"message": {"refusal": "No."}, "finish_reason": "stop"}]'
    assert (draft(body + b"}").text, draft(body + b"}").usage) == ("No.", Usage())
    assert draft(body + b', "usage": {"prompt_tokens": 3}}').usage == Usage(3)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"{}"],
        [b'{"choices": []}'],
        [b'{"choices": [{"message": {"content": "cut"}}]}'],
        [b'{"choices": [{"message": {"content": 1}}]}'],
        [b'{"choices": 1}'],
        [b"[" * 100_000],
        [b"<html>"],
        [b""],
        [delta('{"function": {"arguments": "{}"}}'), END],
    ],
    ids=str,
)
def test_what_is_not_whole_is_a_bad_answer(pieces: list[bytes]) -> None:
    with pytest.raises(Unavailable, match="ask again") as raised:
        draft(*pieces)
    assert raised.value.code == "model_bad_answer"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_are_found_wherever_the_bytes_are_divided(size: int) -> None:
    sent = (
        b': ping\r\n\r\ndata: {"a":1}\r\n\r\nevent: x\ndata:{"b":2}\n\ndata: [DONE]\n\ndata: 3\n\n'
    )

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    assert [data async for data in events(parts())] == [b'{"a":1}', b'{"b":2}']


async def test_the_last_event_may_lack_its_end() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"data: 1\n\ndata: 2"

    assert [data async for data in events(parts())] == [b"1", b"2"]


def test_a_service_that_gives_up_in_the_middle_is_quoted_without_the_key() -> None:
    error = reported({"message": "overloaded, sk-key"}, "m", "sk-key")
    assert (error.code, "overloaded, ***" in error.reason) == ("model_unavailable", True)
    assert reported({"code": "insufficient_quota"}, "m", None).code == "model_quota"
    assert reported("tired", "m", None).reason.startswith("m: ")


def refused(status: int, *, after: str = "", message: str = "") -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://model/v1")
    headers = {"retry-after": after} if after else {}
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.APIStatusError(message, response=response, body={"message": message})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "model_refused"),
        (401, "model_key"),
        (403, "model_key"),
        (404, "unknown_model"),
        (408, "model_unavailable"),
        (413, "model_refused"),
        (422, "model_refused"),
        (429, "model_busy"),
        (500, "model_unavailable"),
        (503, "model_unavailable"),
    ],
)
def test_every_status_has_its_error_which_never_quotes_the_key(status: int, code: str) -> None:
    error = translated(refused(status, message="for sk-key: no"), "m", "http://model/v1", "sk-key")
    assert error.code == code
    assert "sk-key" not in error.reason
    assert ";" in error.reason


def test_retry_after_is_seconds_or_a_moment() -> None:
    def wait(after: str) -> float | None:
        error = translated(refused(429, after=after), "m", "http://model/v1", None)
        return error.details.get("retry_after")

    assert (wait("2.5"), wait("-1"), wait("soon"), wait("inf")) == (2.5, 0.0, None, None)
    moment = wait(format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True))
    assert moment is not None
    assert 60 < moment <= 100
