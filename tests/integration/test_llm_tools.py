"""What models may call: tools of the platform, and of MCP servers that are started for it."""

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.llm_tools import Toolbox, ToolFailed
from tests.unit.platform_double import PlatformDouble

SERVER = """
from fastmcp import FastMCP

server = FastMCP("weather")


@server.tool
def forecast(city: str) -> str:
    '''The weather of tomorrow.'''
    if city == "Atlantis":
        raise ValueError("there is no such city")
    return f"sunny in {city}"


server.run(show_banner=False)
"""
ANN = Caller(principal=Principal("ann", Role.AGENT.value, "ann"))


@pytest.fixture
def calls() -> PatientCalls:
    return PatientCalls(PlatformDouble(), ANN)


@pytest.fixture
async def toolbox(tmp_path: Path) -> AsyncIterator[Toolbox]:
    (tmp_path / "server.py").write_text(SERVER, "utf-8")
    server = {"command": sys.executable, "args": [str(tmp_path / "server.py")]}
    toolbox = Toolbox(REGISTRY, servers={"weather": server})
    try:
        await toolbox.start()
        yield toolbox
    finally:
        await toolbox.stop()


async def test_tools_of_mcp_servers_are_called(toolbox: Toolbox, calls: PatientCalls) -> None:
    tools = toolbox.chosen(["weather__*"], calls)
    assert list(tools) == ["weather__forecast"]
    forecast = tools["weather__forecast"]
    assert forecast.spec.description == "The weather of tomorrow."
    assert list(forecast.spec.parameters["properties"]) == ["city"]
    assert await forecast.call({"city": "Rome"}, "key") == "sunny in Rome"
    with pytest.raises(ToolFailed, match="there is no such city"):
        await forecast.call({"city": "Atlantis"}, "key")
    with pytest.raises(ToolFailed, match="city"):
        await forecast.call({"town": "Rome"}, "key")


async def test_a_server_that_does_not_start_is_named() -> None:
    toolbox = Toolbox(REGISTRY, servers={"absent": {"command": "/no/such/program"}})
    with pytest.raises(Rejected, match="the MCP server absent cannot be reached"):
        await toolbox.start()
    await toolbox.stop()


async def test_a_tool_that_nobody_offers_is_refused(calls: PatientCalls) -> None:
    with pytest.raises(Rejected, match="this worker offers no tool fly"):
        Toolbox(REGISTRY).chosen(["get_task", "fly"], calls)


async def test_the_platform_is_asked_with_the_rights_of_the_agent(calls: PatientCalls) -> None:
    tools = Toolbox(REGISTRY).chosen(["retire_agent", "claim*"], calls)
    for name, said in (
        ("retire_agent", "role: retire_agent needs the role admin"),
        ("claim_task", "not_your_agent: agent_id: you act for agent ann only"),
    ):
        with pytest.raises(ToolFailed, match=said):
            await tools[name].call({"agent_id": "bob"}, "key")


async def test_who_speaks_is_the_agent_whoever_the_connection_belongs_to() -> None:
    """Over an operator's connection a message without an agent would be the operator's."""
    given: dict[str, Any] = {}

    class Connection:
        async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> Any:
            given.update(arguments)
            return {"sent": tool}

        async def read_blob(self, digest: str, caller: Caller) -> bytes:
            raise NotImplementedError

    [tool] = Toolbox(REGISTRY).chosen(["send_message"], PatientCalls(Connection(), ANN)).values()
    await tool.call({"conversation_id": "c", "text": "Approved."}, "key")
    assert given["agent_id"] == "ann"
