"""A real MCP client over HTTP, in both protocol eras."""

import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.cli.tool_help import sample_arguments
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.module import REQUIRED
from agent_orchestration.core.tool import Tool
from agent_orchestration.server.mcp import create_mcp
from tests.e2e.journey import Journey
from tests.e2e.server_process import (
    ERAS,
    Server,
    call,
    check_against,
    check_schema,
    checked_log,
    running,
)

CAPS = {"orchestrate": 15, "worker": 12, "inspect": 15, "admin": 15, "accounts": 5}
TOOLS = sorted(REGISTRY.tools.values(), key=lambda tool: tool.name)
every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("http")) as started:
        yield started
        checked_log(started.folder)


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
async def test_a_client_does_the_whole_journey(server: Server, era: str) -> None:
    async with server.mcp(era) as client:
        assert (client.protocol_version == "2026-07-28") == (era != "legacy")
        await Journey(client, f"http-{era}").run()


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("toolset", sorted(CAPS))
async def test_a_toolset_lists_its_own_tools_and_not_too_many(
    server: Server, era: str, toolset: str
) -> None:
    async with server.mcp(era, {"X-MCP-Toolsets": toolset}) as client:
        listed = {tool.name for tool in await client.list_tools()}
    assert listed == {tool.name for tool in TOOLS if toolset in tool.toolsets}
    assert len(listed) <= CAPS[toolset]


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
async def test_listed_schemas_are_valid_and_accept_the_example_calls(
    server: Server, era: str
) -> None:
    async with server.mcp(era) as client:
        listed = {tool.name: tool for tool in await client.list_tools()}
    assert set(listed) == set(REGISTRY.tools)
    for name, tool in listed.items():
        for schema in (tool.input_schema, tool.output_schema):
            check_schema(schema)
        check_against(tool.input_schema, sample_arguments(REGISTRY.tools[name]))


@every_tool
def test_examples_in_descriptions_are_accepted(tool: Tool) -> None:
    """Lists and objects that a description gives as an example."""
    for name, argument in tool.input_schema["properties"].items():
        for example in re.findall(r"e\.g\. ([\[{].*[\]}])", argument.get("description", "")):
            arguments = {**sample_arguments(tool), name: json.loads(example)}
            check_against(tool.input_schema, arguments)
            tool.parse(arguments)


# --- example calls -------------------------------------------------------------------------------


READY, ASSIGNED, RUNNING, RESERVED = range(4)
NEEDED = Counter(
    start_task=ASSIGNED,
    report_progress=RUNNING,
    complete_task=RUNNING,
    fail_task=RUNNING,
    add_artifact=ASSIGNED,
    get_artifact=ASSIGNED,
    reserve_spend=ASSIGNED,
    settle_spend=RESERVED,
    release_spend=RESERVED,
)


@asynccontextmanager
async def client_in_memory(folder: Path) -> AsyncGenerator[Client[Any]]:
    platform = Platform(open_backends(Config(data=folder)), secret="x" * 32)
    try:
        await platform.start()
        async with Client(create_mcp(platform, toolsets=None, caller=Caller)) as client:
            yield client
    finally:
        await platform.stop()


@every_tool
async def test_the_example_call_of_every_tool_works(tool: Tool, tmp_path: Path) -> None:
    """With `agent-1`, `task-1`, `team-1`, `template-1` and `conversation-1` there, and the task as
    far as the tool needs it."""
    async with client_in_memory(tmp_path) as client:
        await call(client, "register_agent", id="agent-1", name="A", kind="llm", capabilities=[])
        await call(client, "form_team", id="team-1", goal="G")
        await call(client, "define_template", name="template-1", kind="llm", capabilities=[])
        await call(client, "create_task", id="task-1", title="T")
        await call(client, "open_conversation", id="conversation-1", topic="T")
        if NEEDED[tool.name] >= ASSIGNED:
            await call(client, "assign_task", task_id="task-1", agent_id="agent-1")
        if NEEDED[tool.name] >= RUNNING:
            await call(client, "start_task", task_id="task-1", agent_id="agent-1", attempt=1)
        if NEEDED[tool.name] >= RESERVED:
            reserve = sample_arguments(REGISTRY.tools["reserve_spend"])
            await call(client, "reserve_spend", **{**reserve, "id": "spend-1"})
        if tool.name == "approve_plan":
            await call(client, "open_conversation", id="task-1", topic="T")
            asked: dict[str, Any] = {"text": "?", "kind": "question", "data": {"draft": {}}}
            await call(client, "send_message", conversation_id="task-1", **asked)
        if tool.name == "get_artifact":
            await call(client, "add_artifact", **sample_arguments(REGISTRY.tools["add_artifact"]))
        if tool.name == "update_user":
            ada = sample_arguments(REGISTRY.tools["add_user"])
            await call(client, "add_user", **{**ada, "id": "user-1"})
        answer = await call(client, tool.name, **sample_arguments(tool))
        check_against(tool.output_schema, answer)


@pytest.mark.parametrize("name", sorted(REGISTRY.queries))
async def test_every_named_question_can_be_asked_over_mcp(name: str, tmp_path: Path) -> None:
    values = {
        "ids": ["task-1"],
        "names": ["python"],
        "levels": {"python": 0.5},
        "since": "2026-01-31T12:00:00Z",
        "until": "2026-02-28T12:00:00Z",
    }
    query = REGISTRY.queries[name]
    required = [one for one, default in query.parameters.items() if default is REQUIRED]
    params = {one: values.get(one, "task-1") for one in required}
    async with client_in_memory(tmp_path) as client:
        answer = await call(client, "run_named_query", name=name, params=params)
    assert answer["seq"] == 0


async def test_the_example_query_of_read_cypher_works(tmp_path: Path) -> None:
    description = REGISTRY.tools["read_cypher"].description
    found = re.search(r"Example: (MATCH.*?)\. ", " ".join(description.split()))
    assert found is not None
    async with client_in_memory(tmp_path) as client:
        skills = [{"name": "python", "level": 1}]
        await call(client, "register_agent", name="A", kind="llm", capabilities=skills)
        answer = await call(client, "read_cypher", query=found[1])
    assert answer["rows"] == [{"capability": "python", "agents": 1}]
