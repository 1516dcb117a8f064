"""What a language model may call: the platform's tools, functions, and tools of MCP servers."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast

import mcp_types
from fastmcp import Client

from agent_orchestration.backends.llm import ToolSpec
from agent_orchestration.core.dispatch import authorise
from agent_orchestration.core.errors import PlatformError, Rejected
from agent_orchestration.core.module import Registry
from agent_orchestration.core.tool import Tool as RegisteredTool
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.llm_talk import text_of
from agent_orchestration.workers.signatures import Misfit, Signature

MCP_SECONDS = 60.0


class ToolFailed(Exception):
    """The tool was called and did not do it; the message is for the model, which may do better."""


class CallableTool(Protocol):
    """Something a model may call."""

    spec: ToolSpec

    async def call(self, arguments: dict[str, Any], key: str) -> str:
        """What it answers, as text. The same key for the same call, however often it is made.
        Raises `ToolFailed`."""
        ...


class FunctionTool:
    """A function; without `async` it runs in a thread. Its docstring tells the model what it does.
    It may be called again by a later attempt, so it has to be harmless when repeated."""

    def __init__(self, function: Callable[..., Any]) -> None:
        name = function.__name__
        self._function = function
        self._signature = Signature(function, name)
        described = inspect.getdoc(function) or name
        self.spec = ToolSpec(name, described, self._signature.input_schema)

    async def call(self, arguments: dict[str, Any], key: str) -> str:
        """See `CallableTool`."""
        del key
        try:
            given = self._signature.arguments(arguments)
        except Misfit as error:
            raise ToolFailed(f"the arguments do not fit: {error}") from error
        try:
            if self._signature.is_async:
                result = await cast("Callable[..., Awaitable[Any]]", self._function)(**given)
            else:
                result = await asyncio.to_thread(self._function, **given)
            return text_of(self._signature.result(result))
        except Misfit as error:
            raise ToolFailed(f"what it answered does not fit: {error}") from error
        except Exception as error:
            raise ToolFailed(f"{type(error).__name__}: {error}") from error


class PlatformTool:
    """A tool of the platform, called for the agent and with its rights only: also over a connection
    that has more, such as an operator's over MCP."""

    def __init__(self, tool: RegisteredTool, calls: PatientCalls) -> None:
        self.spec = ToolSpec(tool.name, tool.description, tool.input_schema)
        self._tool = tool
        self._calls = calls

    async def call(self, arguments: dict[str, Any], key: str) -> str:
        """See `CallableTool`."""
        given = {**arguments, "idempotency_key": key} if self._tool.takes_key else arguments
        if not self._tool.read_only and "agent_id" in self._tool.input_schema["properties"]:
            # The connection may be an operator's: who is not named there would be the operator.
            given = {"agent_id": self._calls.caller.principal.agent_id, **given}
        try:
            authorise(self._tool, given, self._calls.caller)
            return text_of(await self._calls(self.spec.name, **given))
        except PlatformError as error:
            raise ToolFailed(f"{error.code}: {error.reason}") from error


class McpTool:
    """A tool of somebody else's MCP server; its name is `server__tool`."""

    def __init__(self, server: str, tool: mcp_types.Tool, client: Client[Any]) -> None:
        self.spec = ToolSpec(f"{server}__{tool.name}", tool.description or "", tool.input_schema)
        self._name = tool.name
        self._client = client

    async def call(self, arguments: dict[str, Any], key: str) -> str:
        """See `CallableTool`."""
        del key
        try:
            answer = await self._client.call_tool(self._name, arguments, raise_on_error=False)
        except Exception as error:
            raise ToolFailed(f"{self.spec.name} gave no answer: {error}") from error
        blocks = (one for one in answer.content if isinstance(one, mcp_types.TextContent))
        text = "\n".join(block.text for block in blocks)
        if answer.is_error:
            raise ToolFailed(text)
        return text


class Toolbox:
    """The tools that a worker offers to its agents: `functions`, the platform's that the registry
    has, and those of `servers`, in the form of desktop programs' `mcpServers`. Templates choose
    among them by name; `*` stands for anything. Which servers there are is for who runs the worker
    to say, for they may be commands."""

    def __init__(
        self,
        registry: Registry,
        functions: Iterable[Callable[..., Any]] = (),
        servers: Mapping[str, Any] | None = None,
    ) -> None:
        self._registry = registry
        self._functions = [FunctionTool(function) for function in functions]
        self._servers = dict(servers or {})
        self._offered: list[McpTool] = []
        self._connections = AsyncExitStack()

    async def start(self) -> None:
        """Connect to the servers. Raises `Rejected` where one cannot be reached."""
        for name, server in self._servers.items():
            client: Client[Any] = Client({"mcpServers": {name: server}}, timeout=MCP_SECONDS)
            try:
                await self._connections.enter_async_context(client)
                tools = await client.list_tools()
            except Exception as error:
                problem = f"the MCP server {name} cannot be reached: {error}"
                raise Rejected("no_mcp_server", problem, field="mcp_servers") from error
            self._offered += [McpTool(name, tool, client) for tool in tools]

    async def stop(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    def chosen(self, names: Sequence[str], calls: PatientCalls) -> dict[str, CallableTool]:
        """The tools by name. Raises `Rejected` for a name that nothing has."""
        platform = [PlatformTool(tool, calls) for tool in self._registry.tools.values()]
        every: list[CallableTool] = [*self._functions, *self._offered, *platform]
        found: dict[str, CallableTool] = {}
        for name in names:
            fitting = [one for one in every if fnmatchcase(one.spec.name, name)]
            if not fitting:
                problem = f"tools: this worker offers no tool {name}"
                raise Rejected("unknown_tool", problem, field="tools")
            found |= {one.spec.name: one for one in fitting}
        return found


def parsed_arguments(text: str) -> dict[str, Any]:
    """What a model wants to call a tool with. Raises `ToolFailed`, which tells it what is wrong."""
    try:
        arguments: object = json.loads(text or "{}")
        json.dumps(arguments, ensure_ascii=False).encode()  # lone surrogates are in no UTF-8
    except (ValueError, RecursionError) as error:
        raise ToolFailed(f"the arguments are no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ToolFailed("the arguments have to be a JSON object")
    return cast("dict[str, Any]", arguments)
