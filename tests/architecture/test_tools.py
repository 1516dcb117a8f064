"""Every tool is declared completely, and no toolset is larger than a model can survey."""

import inspect
from collections import Counter
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.tool import TOOLSETS, Role, Tool

LARGEST = {
    "orchestrate": 15,
    "worker": 12,
    "converse": 15,
    "inspect": 15,
    "admin": 15,
    "accounts": 5,
}
TOOLS = sorted(REGISTRY.tools.values(), key=lambda tool: tool.name)

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def submits(tool: Tool) -> bool:
    """Whether the tool's own function sends a command."""
    return bool({"submit", "submit_waiting"} & set(tool.function.__code__.co_names))


def test_there_are_tools() -> None:
    assert TOOLS


@every_tool
def test_a_tool_says_who_may_call_it(tool: Tool) -> None:
    assert isinstance(tool.role, Role)
    assert tool.allows(Role.ADMIN)


@every_tool
def test_a_tool_has_a_title_and_a_description(tool: Tool) -> None:
    assert tool.title
    assert tool.title != tool.name
    assert len(tool.description.split()) >= 5


@every_tool
def test_a_tool_belongs_to_a_toolset(tool: Tool) -> None:
    assert tool.toolsets
    assert set(tool.toolsets) <= set(TOOLSETS)


def is_described(schema: dict[str, Any]) -> bool:
    """Whether an argument, or one of the forms that it takes, has a description."""
    return "description" in schema or any("description" in s for s in schema.get("anyOf", ()))


@every_tool
def test_every_argument_is_described(tool: Tool) -> None:
    arguments = tool.input_schema.get("properties", {})
    assert [name for name, schema in arguments.items() if not is_described(schema)] == []


@every_tool
def test_a_tool_that_changes_something_takes_an_idempotency_key(tool: Tool) -> None:
    assert tool.takes_key == (not tool.read_only)


@every_tool
def test_a_tool_that_only_reads_sends_no_command(tool: Tool) -> None:
    assert not (tool.read_only and submits(tool))
    assert not (tool.read_only and tool.destructive)


@every_tool
def test_a_tool_is_a_coroutine_that_answers_an_object(tool: Tool) -> None:
    assert inspect.iscoroutinefunction(tool.function)
    assert tool.output_schema["type"] == "object"


def test_no_toolset_is_too_large() -> None:
    sizes = Counter(name for tool in TOOLS for name in tool.toolsets)
    assert set(LARGEST) == set(TOOLSETS)
    assert {name: size for name, size in sizes.items() if size > LARGEST[name]} == {}
