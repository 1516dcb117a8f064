"""The MCP server through real clients: in memory, and over HTTP in both protocol eras."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from fastmcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import BlobResourceContents, TextContent, TextResourceContents

from agent_orchestration import __version__
from agent_orchestration.server.callers import headers_for
from agent_orchestration.server.toolsets import DEFAULT_TOOLSETS
from tests.unit.server_fakes import (
    ADA,
    ERAS,
    TOKEN,
    TOOLS,
    FakeDispatcher,
    big_text,
    in_memory,
    mcp_client,
    names_of,
    served,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(dispatcher: FakeDispatcher) -> AsyncIterator[str]:
    async with served(dispatcher) as address:
        yield address


async def failure(client: Client[Any], name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """The line and the JSON of a call that must fail."""
    result = await client.call_tool(name, arguments, raise_on_error=False)
    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    line, _, data = result.content[0].text.partition("\n")
    return line, json.loads(data)


async def names(client: Client[Any]) -> set[str]:
    return {tool.name for tool in await client.list_tools()}


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_answers_structured_content_and_the_same_as_compact_text(
    url: str, era: str
) -> None:
    async with mcp_client(url, era) as client:
        assert (client.protocol_version == "2026-07-28") == (era != "legacy")
        result = await client.call_tool("note", {"text": "hé", "parts": [{"name": "p"}]})
        assert isinstance(result.content[0], TextContent)
        expected = {"text": "hé", "tags": [], "parts": [{"name": "p", "level": 1.0}], "bytes": 3}
        assert result.structured_content == expected
        assert json.loads(result.content[0].text) == expected
        assert ": " not in result.content[0].text


@pytest.mark.parametrize("era", ERAS)
async def test_lists_sent_as_json_text_are_accepted(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        arguments = {"text": "t", "tags": '["a", "b"]', "parts": '[{"name": "p", "level": 0.5}]'}
        result = await client.call_tool("note", arguments)
        assert result.structured_content is not None
        assert result.structured_content["tags"] == ["a", "b"]
        assert result.structured_content["parts"] == [{"name": "p", "level": 0.5}]


@pytest.mark.parametrize("era", ERAS)
async def test_a_typed_error_is_one_line_and_its_json(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        line, data = await failure(client, "get_task", task_id="missing")
        assert line == "unknown_task: no task has the id 'missing'; check it"
        assert (data["error"], data["code"], data["id"]) == ("not_found", "unknown_task", "missing")


@pytest.mark.parametrize("era", ERAS)
async def test_bad_arguments_name_the_field_and_the_remedy(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        line, data = await failure(client, "note", text="t", txet="t")
        assert line.startswith("invalid_argument: txet: unknown argument; note takes text, tags")
        assert data["field"] == "txet"
        line, data = await failure(client, "note", text="t", parts=[{"level": "high"}])
        assert data["field"] == "parts.0.name"


async def test_an_unexpected_error_is_masked_and_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with mcp_client(url, "2026-07-28") as client:
        line, data = await failure(client, "break_down")
    assert line.startswith("internal_error: break_down failed unexpectedly")
    assert "swordfish" not in json.dumps(data)
    logged = [r for r in caplog.records if data["correlation"] in r.getMessage()]
    assert [r.levelno for r in logged] == [logging.ERROR]
    assert "swordfish" in caplog.text


async def test_what_a_caller_may_not_call_is_not_listed_and_refused(
    dispatcher: FakeDispatcher,
) -> None:
    async with in_memory(dispatcher, caller=ADA) as client:
        assert names_of("viewer") == await names(client)
        line, data = await failure(client, "purge")
        assert line == "role: purge needs the role admin"
        assert data["error"] == "forbidden"


async def test_what_is_listed_says_all_that_was_declared(dispatcher: FakeDispatcher) -> None:
    async with in_memory(dispatcher) as client:
        listed = {tool.name: tool for tool in await client.list_tools()}
    note, purge = listed["note"], listed["purge"]
    assert (note.title, note.description) == ("Note", "Keep a note.")
    assert note.annotations is not None
    assert note.annotations.idempotent_hint is True  # it takes a key
    assert note.annotations.read_only_hint is note.annotations.destructive_hint is False
    assert note.meta is not None
    assert note.meta["role"] == "operator"
    assert purge.annotations is not None
    assert purge.annotations.destructive_hint is True
    assert purge.annotations.idempotent_hint is False
    assert all(t.annotations and t.annotations.open_world_hint is False for t in listed.values())


async def test_schemas_are_self_contained_and_answers_keep_to_them(
    dispatcher: FakeDispatcher,
) -> None:
    async with in_memory(dispatcher) as client:
        for tool in await client.list_tools():
            for schema in (tool.input_schema, tool.output_schema):
                assert schema is not None
                assert schema["type"] == "object"
                assert "$ref" not in json.dumps(schema)
                jsonschema.Draft202012Validator.check_schema(schema)
            if tool.name == "note":
                result = await client.call_tool("note", {"text": "t", "parts": [{"name": "p"}]})
                jsonschema.validate(result.structured_content, tool.output_schema or {})


@pytest.mark.parametrize("era", ERAS)
async def test_calls_at_once_are_all_answered(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        results = await asyncio.gather(
            *(client.call_tool("note", {"text": f"n{number}"}) for number in range(40))
        )
    texts = [r.structured_content["text"] for r in results if r.structured_content]
    assert texts == [f"n{number}" for number in range(40)]


@pytest.mark.parametrize("era", ERAS)
async def test_toolsets_shape_the_listing_and_not_what_may_be_called(
    dispatcher: FakeDispatcher, era: str
) -> None:
    def of(*toolsets: str) -> set[str]:
        return {tool.name for tool in TOOLS if set(toolsets) & set(tool.toolsets)}

    async with served(dispatcher, DEFAULT_TOOLSETS) as url:
        async with mcp_client(url, era) as client:
            assert await names(client) == of("orchestrate")
            assert not (await client.call_tool("whoami")).is_error
        async with mcp_client(url, era, {"X-MCP-Toolsets": "worker, Inspect"}) as client:
            assert await names(client) == of("worker", "inspect")
        async with mcp_client(url, era, {"X-MCP-Toolsets": "all"}) as client:
            assert await names(client) == {tool.name for tool in TOOLS}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("task://T-1", {"id": "T-1"}),
        ("agent://a%2Fb%3Ac%20%C3%A9", {"id": "a/b:c é"}),
        ("schema://graph", {"labels": ["Agent", "Task"]}),
        ("blob://json", {"a": 1}),
    ],
)
async def test_resources_are_read_through_the_tools(
    url: str, era: str, uri: str, expected: Any
) -> None:
    async with mcp_client(url, era) as client:
        [content] = await client.read_resource(uri)
        assert isinstance(content, TextResourceContents)
        assert content.mime_type == "application/json"
        assert json.loads(content.text) == expected


async def test_a_blob_that_is_no_text_is_sent_as_bytes(dispatcher: FakeDispatcher) -> None:
    async with in_memory(dispatcher) as client:
        [content] = await client.read_resource("blob://binary")
        assert isinstance(content, BlobResourceContents)
        assert content.blob == "/wA="


@pytest.mark.parametrize("uri", ["task://missing", "blob://missing"])
async def test_a_missing_resource_is_a_typed_error(dispatcher: FakeDispatcher, uri: str) -> None:
    async with in_memory(dispatcher) as client:
        with pytest.raises(MCPError, match=r"unknown_(task|blob): no .*missing"):
            await client.read_resource(uri)


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_name_the_tools_in_their_order(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        listed = {prompt.name for prompt in await client.list_prompts()}
        assert listed == {"plan_a_goal", "review_the_team", "staff_this_plan", "why_is_this_stuck"}
        prompt = await client.get_prompt("plan_a_goal", {"goal": "ship {it}"})
        [message] = prompt.messages
        assert isinstance(message.content, TextContent)
        text = message.content.text
        assert "Goal: ship {it}" in text
        steps = [text.index(f"`{tool}`") for tool in ("get_overview", "find_agents", "submit_plan")]
        assert steps == sorted(steps)
        prompt = await client.get_prompt("why_is_this_stuck", {"task_id": "T-7"})
        assert isinstance(prompt.messages[0].content, TextContent)
        assert "explain_task" in prompt.messages[0].content.text
        assert "task_id=T-7" in prompt.messages[0].content.text


async def test_the_server_introduces_itself(dispatcher: FakeDispatcher) -> None:
    async with in_memory(dispatcher) as client:
        assert client.server_info is not None
        assert client.server_info.name == "agent-orchestration"
        assert client.server_info.version == __version__
        assert "idempotency_key" in (client.instructions or "")


@pytest.mark.parametrize("era", ERAS)
async def test_the_caller_reaches_tools_over_mcp(url: str, era: str) -> None:
    async with mcp_client(url, era, headers_for(ADA, TOKEN)) as client:
        assert await names(client) == names_of("viewer")
        result = await client.call_tool("whoami")
        assert result.structured_content is not None
        assert result.structured_content["principal"] == "ada"


@pytest.mark.parametrize("era", ERAS)
async def test_nine_megabytes_pass_and_eleven_do_not(url: str, era: str) -> None:
    async with mcp_client(url, era) as client:
        result = await client.call_tool("note", {"text": big_text(9)})
        assert result.structured_content is not None
        assert result.structured_content["bytes"] == 9 * 1024 * 1024
        with pytest.raises(MCPError):
            await client.call_tool("note", {"text": big_text(11)})
