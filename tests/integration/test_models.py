"""Language models over OpenAI's protocol, on the stand-in: what is asked, answered and counted."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from agent_orchestration.backends.llm import ChatModel, ToolSpec, Usage
from agent_orchestration.backends.llm.openai import OpenAIChatModel
from agent_orchestration.config import OpenAI
from agent_orchestration.core.errors import Rejected
from agent_orchestration.metrics import METRICS
from agent_orchestration.resilience import CircuitBreakerRegistry
from agent_orchestration.stand_in_model.app import key_name
from tests.stand_in import StandIn, stand_in

HELLO = [{"role": "user", "content": "hello out there"}]
ECHO = "A stand-in for a model was told: hello out there"
TOOLS = [ToolSpec(name, f"To {name}", {"type": "object"}) for name in ("look", "go")]


@asynccontextmanager
async def asked(
    *rules: dict[str, Any], **settings: Any
) -> AsyncGenerator[tuple[ChatModel, StandIn]]:
    """A model on a stand-in with these rules."""
    async with stand_in({"rules": rules}) as server:
        config = OpenAI(base_url=server.base_url, **settings)
        model = OpenAIChatModel(config, CircuitBreakerRegistry())
        try:
            yield model, server
        finally:
            await model.close()


async def test_an_answer_in_pieces_is_the_answer_in_one() -> None:
    calls: list[dict[str, Any]] = [
        {"name": "look", "arguments": {"at": "sea"}},
        {"name": "go", "arguments": {}},
    ]
    both: dict[str, Any] = {
        "when": {"text": "both"},
        "answer": {"text": "I look.", "tool_calls": calls},
    }
    async with asked(both) as (model, _):
        for words in ("hello out there", "both"):
            messages = [{"role": "user", "content": words}]
            told: list[str] = []
            whole = await model.chat(messages, model="m", tools=TOOLS)
            pieces = await model.chat(messages, model="m", tools=TOOLS, on_text=told.append)
            assert "".join(told) == whole.text == pieces.text
            assert len(told) > 1
            assert [(c.name, c.arguments) for c in whole.tool_calls] == [
                (c.name, c.arguments) for c in pieces.tool_calls
            ]
            assert whole.usage == pieces.usage
            assert whole.finish_reason == pieces.finish_reason
            assert whole.model == pieces.model == "stand-in/m"
            assert whole.attempts == pieces.attempts == 1
            assert 0 < whole.seconds < 60
        assert [(c.name, json.loads(c.arguments)) for c in whole.tool_calls] == [
            ("look", {"at": "sea"}),
            ("go", {}),
        ]
        assert len({call.id for call in whole.tool_calls}) == 2


async def test_a_conversation_goes_on_after_a_tool_was_called() -> None:
    first = {"when": {"call": 1}, "answer": {"tool_calls": [{"name": "look"}]}}
    async with asked(first) as (model, _):
        answer = await model.chat(HELLO, model="m", tools=TOOLS)
        [call] = answer.tool_calls
        function = {"name": call.name, "arguments": call.arguments}
        messages = [
            *HELLO,
            {
                "role": "assistant",
                "content": answer.text,
                "tool_calls": [{"id": call.id, "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "the sea"},
        ]
        assert (await model.chat(messages, model="m", tools=TOOLS)).text.endswith("the sea")
        with pytest.raises(Rejected, match="preceding") as refused:
            await model.chat([messages[0], messages[2]], model="m")
        assert refused.value.code == "model_refused"


async def test_what_is_counted_here_is_what_the_service_counted() -> None:
    cut = {"when": {"call": 2}, "fault": "cut"}
    async with asked(cut, api_key=SecretStr("sk-only-for-tests")) as (model, server):
        long = [*HELLO, {"role": "assistant", "content": "yes"}, *HELLO]
        answers = [await model.chat(messages, model="m") for messages in (HELLO, long)]
        [billed] = (await server.usage())["billed"]
        assert billed["key"] == key_name("sk-only-for-tests")
        assert (billed["requests"], sum(answer.attempts for answer in answers)) == (3, 3)
        assert answers[1].usage.cached_tokens > 0
        for name in Usage.__struct_fields__:
            assert billed[name] == sum(getattr(answer.usage, name) for answer in answers)


async def test_a_schema_and_a_limit_of_tokens_reach_the_service() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with asked() as (model, _):
        assert (await model.chat(HELLO, model="m", schema=schema)).text == '{"n":0}'
        short = await model.chat(HELLO, model="m", max_tokens=3)
        assert (short.text, short.finish_reason) == (ECHO[:12], "length")


async def test_calls_are_counted_by_how_they_ended() -> None:
    def counted(outcome: str) -> float:
        labels = {"model": "counted", "outcome": outcome}
        return METRICS.get_sample_value("model_calls_total", labels) or 0

    async with asked({"when": {"call": 1}, "fault": "key_refused"}) as (model, _):
        with pytest.raises(Rejected):
            await model.chat(HELLO, model="counted")
        for _ in range(2):
            await model.chat(HELLO, model="counted")
    assert (counted("model_key"), counted("answered")) == (1, 2)
    count = "model_call_duration_seconds_count"
    assert METRICS.get_sample_value(count, {"model": "counted"}) == 3


async def test_a_service_of_ones_own_needs_no_key_and_is_sent_none() -> None:
    async with asked() as (model, server):
        assert (await model.chat(HELLO, model="m")).text == ECHO
        [billed] = (await server.usage())["billed"]
        assert billed["key"] == "none"


async def test_openai_itself_is_not_asked_without_a_key() -> None:
    model = OpenAIChatModel(OpenAI(), CircuitBreakerRegistry())
    with pytest.raises(Rejected, match="OPENAI_API_KEY") as refused:
        await model.chat(HELLO, model="m")
    assert refused.value.code == "model_key"
    await model.close()


async def test_no_more_requests_are_under_way_than_allowed() -> None:
    async with asked({"fault": "hang"}, max_concurrency=2) as (model, server):
        calls = [asyncio.create_task(model.chat(HELLO, model="m")) for _ in range(3)]
        while (await server.usage())["calls"] < 2:
            pass
        # Each look is a request of its own: time enough for a third to arrive.
        assert [(await server.usage())["calls"] for _ in range(10)] == [2] * 10
        calls[0].cancel()
        while (await server.usage())["calls"] < 3:
            pass
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


@pytest.mark.process
def test_the_client_is_imported_when_a_model_is_made() -> None:
    program = (
        "import sys; from agent_orchestration.backends.llm import openai;"
        "print('openai' in sys.modules)"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
