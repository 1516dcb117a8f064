"""A running server, and real MCP clients of it: over HTTP in both protocol eras, and over stdio."""

import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp_types import TextContent

from tests.e2e.check_log import check_folder
from tests.e2e.program import PATIENCE, PROGRAM, environment, server

ERAS = [pytest.param("legacy", id="handshake"), pytest.param("2026-07-28", id="modern")]


class Refused(Exception):
    """A tool's error result: its line for people, and the same as data."""

    def __init__(self, line: str, data: dict[str, Any]) -> None:
        super().__init__(line)
        self.line = line
        self.data = data


class Server:
    """A `dev` process on `folder/data`, with every tool listed."""

    def __init__(self, folder: Path, pid: int, url: str) -> None:
        self.folder = folder
        self.pid = pid
        self.url = url

    def mcp(self, era: str, headers: Mapping[str, str] | None = None) -> Client[Any]:
        """A client over HTTP that speaks the protocol of that era."""
        transport = StreamableHttpTransport(f"{self.url}/mcp", headers=dict(headers or {}))
        return Client(transport, mode=era, timeout=PATIENCE)

    def http(self) -> httpx2.Client:
        """A plain HTTP client."""
        return httpx2.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)


@contextlib.contextmanager
def running(folder: Path, *arguments: str) -> Generator[Server]:
    """A server on `folder/data` that is ready; killed at the end."""
    with server(folder, "--tools", "all", *arguments) as (process, said):
        yield Server(folder, process.pid, said["url"])


def stdio_client(folder: Path, era: str = "auto") -> Client[Any]:
    """A client that starts `mcp` on `folder/data`, as desktop programs do."""
    transport = StdioTransport(
        PROGRAM[0],
        [*PROGRAM[1:], "mcp", "--data", str(folder / "data"), "--tools", "all"],
        env=environment(folder),
        cwd=str(folder),
        keep_alive=False,
    )
    return Client(transport, mode=era, timeout=PATIENCE)


async def call(client: Client[Any], tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool; raises `Refused`."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    [content] = result.content
    assert isinstance(content, TextContent)
    if result.is_error:
        line, _, data = content.text.partition("\n")
        raise Refused(line, json.loads(data))
    assert result.structured_content is not None
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


def post(client: httpx2.Client, tool: str, arguments: Any) -> tuple[int, dict[str, Any]]:
    """Call a tool over the plain HTTP interface: status and JSON. Bytes are sent as they are."""
    body = arguments if isinstance(arguments, bytes) else json.dumps(arguments)
    response = client.post(f"/api/v1/tools/{tool}", content=body)
    return response.status_code, response.json()


def check_schema(schema: Any) -> None:
    """Raise unless it is a JSON Schema of an object."""
    assert schema["type"] == "object"
    jsonschema.Draft202012Validator.check_schema(schema)


def check_against(schema: Any, value: Any) -> None:
    """Raise unless the value keeps to the schema."""
    validator: Any = jsonschema.Draft202012Validator(schema)
    validator.validate(value)


def checked_log(folder: Path) -> dict[str, Any]:
    """The summary of the log in `folder/data`; no promise may be broken in it."""
    summary = check_folder(folder / "data")
    assert summary["violations"] == []
    return summary
