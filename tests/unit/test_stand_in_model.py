"""The stand-in for a model: what it answers, refuses and counts."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import httpx2
import jsonschema
import msgspec
import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.stand_in_model.app import create_stand_in, key_name
from agent_orchestration.stand_in_model.requests import Refusal
from agent_orchestration.stand_in_model.script import Fault, Script, load_script
from agent_orchestration.stand_in_model.smallest import smallest

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "c1", "content": "seen"}
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"at": {"type": "string", "minLength": 2}},
            "required": ["at"],
        },
    },
}


def client(script: dict[str, Any] | None = None) -> httpx2.AsyncClient:
    app = create_stand_in(msgspec.convert(script or {}, type=Script))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://stand-in")


@pytest.fixture
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    async with client() as one:
        yield one


async def said(web: httpx2.AsyncClient, messages: Any = None, **more: Any) -> dict[str, Any]:
    response = await web.post(CHAT, json={"model": "m", "messages": messages or HELLO, **more})
    assert response.status_code == 200, response.text
    assert response.headers["x-stand-in-model"] == "true"
    return response.json()


async def test_the_same_request_gets_the_same_answer_which_names_the_stand_in(
    web: httpx2.AsyncClient,
) -> None:
    first, second = await said(web), await said(web)
    assert first["choices"] == second["choices"]
    assert first["usage"] == second["usage"]
    assert first["model"] == "stand-in/m"
    choice = first["choices"][0]
    assert choice["message"]["content"] == "A stand-in for a model was told: hello"
    assert choice["finish_reason"] == "stop"


async def test_usage_is_counted_in_tokens_of_four_characters(web: httpx2.AsyncClient) -> None:
    usage = (await said(web))["usage"]
    assert usage["prompt_tokens"] == -(-len('{"role":"user","content":"hello"}') // 4)
    assert usage["completion_tokens"] == -(-len("A stand-in for a model was told: hello") // 4)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    longer = [*HELLO, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "so"}]
    more = (await said(web, longer))["usage"]
    assert more["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]


async def test_a_limit_of_tokens_cuts_the_answer(web: httpx2.AsyncClient) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = await said(web, **{name: 2})
        assert answer["choices"][0]["message"]["content"] == "A stand-"
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 2


async def test_a_schema_gets_its_smallest_value_and_a_tool_its_smallest_arguments(
    web: httpx2.AsyncClient,
) -> None:
    schema = {"type": "object", "properties": {"n": {"minimum": 3, "type": "integer"}}}
    wanted = {"name": "a", "schema": schema | {"required": ["n"]}}
    answer = await said(web, response_format={"type": "json_schema", "json_schema": wanted})
    assert answer["choices"][0]["message"]["content"] == '{"n":3}'
    for choice in ("required", {"type": "function", "function": {"name": "look"}}):
        answer = await said(web, tools=[LOOK], tool_choice=choice)
        [call] = answer["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "look", "arguments": '{"at":"xx"}'}
        assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_stream_says_the_same_in_pieces(web: httpx2.AsyncClient) -> None:
    whole = await said(web)
    body = {"model": "m", "messages": HELLO, "stream": True}
    options = {"stream_options": {"include_usage": True}}
    response = await web.post(CHAT, json=body | options)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    pieces = [json.loads(event.removeprefix("data: ")) for event in events]
    texts = [piece["choices"][0]["delta"].get("content", "") for piece in pieces[:-1]]
    assert "".join(texts) == whole["choices"][0]["message"]["content"]
    assert len(texts) > 5
    assert pieces[-2]["choices"][0]["finish_reason"] == "stop"
    assert (pieces[-1]["choices"], pieces[-1]["usage"]) == ([], whole["usage"])
    assert '"usage"' not in (await web.post(CHAT, json=body)).text


async def test_a_script_answers_by_text_model_and_number() -> None:
    calls = [{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": "as it is"}]
    rules = [
        {"when": {"call": 2}, "answer": {"text": "second"}},
        {"when": {"text": "rain", "model": "m"}, "answer": {"tool_calls": calls}},
        {"when": {"model": "other"}, "answer": {"json": {"ok": True}}},
    ]
    async with client({"rules": rules}) as web:
        rain = [{"role": "user", "content": [{"type": "text", "text": "rain?"}]}]
        message = (await said(web, rain))["choices"][0]["message"]
        functions = [call["function"] for call in message["tool_calls"]]
        assert [one["arguments"] for one in functions] == ['{"x":1}', "as it is"]
        assert (await said(web, rain))["choices"][0]["message"]["content"] == "second"
        other = await said(web, rain, model="other")
        assert other["choices"][0]["message"]["content"] == '{"ok":true}'
        assert "told: hello" in (await said(web))["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"messages": []}, "messages", "empty"),
        ({"messages": None}, "messages", "array"),
        ({"messages": [{"role": "wizard", "content": ""}]}, "messages[0].role", "'wizard'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "null"),
        ({"messages": [*HELLO, ANSWERED]}, "messages[1].role", "preceding"),
        ({"messages": [*HELLO, CALLED]}, "messages", "did not have response"),
        ({"messages": [CALLED, *HELLO]}, "messages[1]", "c1"),
        ({"messages": [CALLED, ANSWERED, ANSWERED]}, "messages[2].role", "preceding"),
        ({"messages": [{**CALLED, "role": "user"}]}, "messages[0]", "assistants"),
        ({"model": None}, "model", "str"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, None, "pattern"),
        ({"max_tokens": -1}, "max_tokens", "minimum"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream"),
    ],
)
async def test_what_the_real_service_refuses_is_refused(
    web: httpx2.AsyncClient, change: dict[str, Any], param: str | None, words: str
) -> None:
    response = await web.post(CHAT, json={"model": "m", "messages": HELLO} | change)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]
    assert param is None or error["param"] == param


async def test_a_body_that_is_no_json_is_refused(web: httpx2.AsyncClient) -> None:
    for body in (b"{", b"\xff", b""):
        response = await web.post(CHAT, content=body)
        assert response.status_code == 400
        assert "parse" in response.json()["error"]["message"]


async def test_a_conversation_with_answered_calls_is_taken(web: httpx2.AsyncClient) -> None:
    answer = await said(web, [*HELLO, CALLED, ANSWERED])
    assert "told: seen" in answer["choices"][0]["message"]["content"]


async def test_the_models_are_those_of_the_script_and_no_others() -> None:
    async with client({"models": ["small"]}) as web:
        listed = (await web.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["small"]
        await said(web, model="small")
        response = await web.post(CHAT, json={"model": "large", "messages": HELLO})
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"


async def test_it_counts_by_key_and_model_and_forgets() -> None:
    rules = [{"when": {"call": 2}, "fault": "rate_limit", "retry_after": 7}]
    async with client({"rules": rules}) as web:
        sums = [(await said(web))["usage"]]
        refused = await web.post(CHAT, json={"model": "m", "messages": HELLO})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        sums.append((await said(web))["usage"])
        headers = {"Authorization": "Bearer sk-secret"}
        await web.post(CHAT, json={"model": "m", "messages": HELLO}, headers=headers)
        response = await web.get("/stand-in/usage")
        assert "sk-secret" not in response.text
        first, second = response.json()["billed"]
        assert (first["key"], first["requests"], first["answers"]) == ("none", 3, 2)
        assert first["prompt_tokens"] == sum(one["prompt_tokens"] for one in sums)
        assert first["completion_tokens"] == sum(one["completion_tokens"] for one in sums)
        assert (second["key"], second["requests"]) == (key_name("sk-secret"), 1)
        await web.post("/stand-in/reset")
        assert (await web.get("/stand-in/usage")).json() == {"calls": 0, "billed": []}


SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "minLength": 3},
    {"type": ["null", "string"]},
    {"enum": ["b", "a"]},
    {"const": {"a": 1}},
    {"type": "boolean"},
    {"type": "integer", "exclusiveMinimum": 0},
    {"type": "integer", "maximum": -3, "multipleOf": 2},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "array", "items": {"type": "number", "minimum": 1.5}, "minItems": 2},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {
        "$defs": {"name": {"type": "object", "properties": {"n": {}}, "required": ["n"]}},
        "allOf": [{"$ref": "#/$defs/name"}, {"required": ["m"]}],
        "properties": {"m": {"$ref": "#/$defs/name"}, "left": {"type": "string"}},
        "type": "object",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_the_smallest_value_fits(schema: dict[str, Any]) -> None:
    validator: Any = jsonschema.Draft202012Validator(schema)
    validator.validate(smallest(schema))


def test_the_smallest_value_has_what_is_required_and_nothing_more() -> None:
    assert smallest(SCHEMAS[-1]) == {"n": None, "m": {"n": None}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
    ],
    ids=str,
)
def test_a_schema_without_end_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="Invalid schema"):
        smallest(schema)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{fault: tired}]", "rules[0].fault"),
        ("rules: [{when: {call: 1}}]", "rules[0]"),
        ("rules: [{answer: {text: a}, fault: cut}]", "either answer or fault"),
        ("rules: [{answer: {text: a, json: 1}}]", "leave one out"),
        ("rules: [{fault: huge, megabytes: 0}]", "megabytes"),
        ("rule: []", "rule"),
        ("rules: [", "is not YAML"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)
    with pytest.raises(Rejected) as refused:
        load_script(file)
    assert refused.value.code == "invalid_script"
    assert words in refused.value.reason
    with pytest.raises(Rejected, match="cannot be read"):
        load_script(tmp_path / "absent")


def test_a_script_may_be_yaml_json_or_empty(tmp_path: Path) -> None:
    file = tmp_path / "script"
    for text in ("rules: [{fault: cut}]", '{"rules": [{"fault": "cut"}]}'):
        file.write_text(text)
        assert [rule.fault for rule in load_script(file).rules] == ["cut"]
    file.write_text("")
    assert load_script(file) == Script()


def test_the_documented_script_can_be_used_and_every_fault_is_documented(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    file = tmp_path / "answers.yaml"
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert [rule.fault for rule in load_script(file).rules] == ["rate_limit", None, None, None]
    table = page.partition("| fault |")[2].partition("\n\n")[0]
    first = "".join(line.partition(" | ")[0] for line in table.splitlines())
    assert set(re.findall(r"`(\w+)`", first)) == set(get_args(Fault))
