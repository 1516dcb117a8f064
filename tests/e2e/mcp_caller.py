"""A client of the MCP server that looks at its answers twice."""

import json
from typing import Any

import pytest
from fastmcp import Client
from mcp_types import TextContent, TextResourceContents

from tests.e2e.server_process import Refused, call, check_against


class Caller:
    """A client whose answers are held against the schemas that the server lists."""

    def __init__(self, client: Client[Any], prefix: str) -> None:
        self._client = client
        self._schemas: dict[str, Any] = {}
        self._prefix = prefix

    def named(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        if not self._schemas:
            listed = await self._client.list_tools()
            self._schemas = {one.name: one.output_schema for one in listed}
        answer = await call(self._client, tool, **arguments)
        check_against(self._schemas[tool], answer)
        return answer

    async def refused(self, tool: str, **arguments: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            await call(self._client, tool, **arguments)
        return caught.value

    async def resource(self, uri: str) -> dict[str, Any]:
        [content] = await self._client.read_resource(uri)
        assert isinstance(content, TextResourceContents)
        return json.loads(content.text)

    async def prompt(self, name: str, **arguments: str) -> str:
        [message] = (await self._client.get_prompt(name, arguments)).messages
        assert isinstance(message.content, TextContent)
        return message.content.text
