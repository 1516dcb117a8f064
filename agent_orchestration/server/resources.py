"""Resources: entities by address, read through the same tools as everything else."""

from collections.abc import Callable
from logging import DEBUG
from typing import Any

import msgspec
from fastmcp import FastMCP
from fastmcp.exceptions import FastMCPError, ResourceError, ValidationError
from fastmcp.resources import ResourceContent, ResourceResult

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import Conflict, Forbidden, NotFound, PlatformError, Rejected
from agent_orchestration.server.errors import error_text, masked

JSON = "application/json"


class ResourceReader:
    """Reads resources for the caller of the request at hand.

    The protocol has no error result for resources, so errors are protocol errors here, with the
    text that a tool would have answered.
    """

    def __init__(self, dispatcher: Dispatcher, caller: Callable[[], Caller]) -> None:
        self._dispatcher = dispatcher
        self._caller = caller

    async def agent(self, id: str) -> str:  # noqa: A002 - the name of the address's variable
        """An agent as JSON."""
        return await self._tool("get_agent", agent_id=id)

    async def task(self, id: str) -> str:  # noqa: A002 - the name of the address's variable
        """A task as JSON."""
        return await self._tool("get_task", task_id=id)

    async def team(self, id: str) -> str:  # noqa: A002 - the name of the address's variable
        """A team as JSON."""
        return await self._tool("get_team", team_id=id)

    async def template(self, id: str) -> str:  # noqa: A002 - the name of the address's variable
        """A version of a template as JSON."""
        found = await self._call("list_templates", template_id=id)
        if not found["templates"]:
            unknown = f"template: there is no template version {id}; see list_templates"
            raise _protocol_error(NotFound("unknown_template", unknown, field="template"))
        return _json({"template": found["templates"][0]})

    async def graph_schema(self) -> str:
        """The graph's schema as JSON."""
        return await self._tool("get_graph_schema")

    async def blob(self, digest: str) -> ResourceResult:
        """A field too large for the log: JSON text, or bytes where it is not text."""
        caller = self._caller()
        try:
            content = await self._dispatcher.read_blob(digest, caller)
        except PlatformError as error:
            raise _protocol_error(error) from None
        except Exception as unexpected:
            raise _protocol_error(masked("read_blob", unexpected, caller.correlation)) from None
        try:
            return ResourceResult([ResourceContent(content.decode(), mime_type=JSON)])
        except UnicodeDecodeError:
            return ResourceResult([ResourceContent(content, mime_type="application/octet-stream")])

    async def _tool(self, name: str, **arguments: str) -> str:
        return _json(await self._call(name, **arguments))

    async def _call(self, name: str, **arguments: str) -> dict[str, Any]:
        caller = self._caller()
        try:
            return await self._dispatcher.call(name, arguments, caller)
        except PlatformError as error:
            raise _protocol_error(error) from None
        except Exception as unexpected:
            raise _protocol_error(masked(name, unexpected, caller.correlation)) from None


def _json(answer: dict[str, Any]) -> str:
    return msgspec.json.encode(answer).decode()


def _protocol_error(error: PlatformError) -> FastMCPError:
    """As "invalid parameters" where the caller can change the request, else "internal error"."""
    ours_to_change = isinstance(error, Rejected | NotFound | Forbidden | Conflict)
    kind = ValidationError if ours_to_change else ResourceError
    return kind(error_text(error), log_level=DEBUG)


def add_resources(server: FastMCP, dispatcher: Dispatcher, caller: Callable[[], Caller]) -> None:
    """Add `agent://{id}`, `task://{id}`, `team://{id}`, `template://{id}`, `blob://{digest}` and
    `schema://graph`."""
    reader = ResourceReader(dispatcher, caller)
    server.resource(
        "agent://{id}",
        name="agent",
        title="Agent",
        description="An agent: capabilities, status, what it works on.",
        mime_type=JSON,
    )(reader.agent)
    server.resource(
        "task://{id}",
        name="task",
        title="Task",
        description="A task: status, requirements, dependencies, attempt, result.",
        mime_type=JSON,
    )(reader.task)
    server.resource(
        "team://{id}",
        name="team",
        title="Team",
        description="A team: goal, members and roles, what it covers, how much it has to do.",
        mime_type=JSON,
    )(reader.team)
    server.resource(
        "template://{id}",
        name="template",
        title="Template",
        description="What agents are made from; the version 2 of `reviewer` is `reviewer%3A2`.",
        mime_type=JSON,
    )(reader.template)
    server.resource(
        "blob://{digest}",
        name="blob",
        title="Large field",
        description='A payload or result that was too large to be shown inline ("$blob").',
        mime_type=JSON,
    )(reader.blob)
    server.resource(
        "schema://graph",
        name="graph-schema",
        title="Graph schema",
        description="Labels, properties and relationships of the graph, and the named queries.",
        mime_type=JSON,
    )(reader.graph_schema)
