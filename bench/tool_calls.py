"""Clients of an MCP server: JSON-RPC posts over kept connections, as little work as possible.

A client library would take more of the two cores than the server under measurement, on both sides
of the comparison, and hide their difference.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Arguments = dict[str, Any]
PROTOCOL = "2025-11-25"
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": PROTOCOL,
}


class Round(NamedTuple):
    """Some calls: how long each took, and all of them together, in seconds."""

    each: list[float]
    together: float


class ToolCaller:
    """Calls tools of one server over one connection."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._connection = HTTPConnection(address.hostname, address.port, timeout=60)
        self._ids = itertools.count(1)

    def call(self, tool: str, arguments: Arguments) -> Arguments:
        """The structured answer. Raises `RuntimeError` for any other."""
        request = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        self._connection.request("POST", "/mcp", json.dumps(request), HEADERS)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{tool}: HTTP {response.status}: {body.decode()}")
        answer = json.loads(body)
        result = answer.get("result")
        if result is None or result.get("isError"):
            raise RuntimeError(f"{tool}: {answer}")
        return result["structuredContent"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Clients:
    """Some clients of one server, each with a connection and a thread of its own."""

    def __init__(self, url: str, count: int) -> None:
        self._callers = [ToolCaller(url) for _ in range(count)]

    def round(self, tool: str, arguments: Callable[[int], Arguments], calls: int) -> Round:
        """Call `tool` that often, shared evenly; `arguments` is given the number of the call."""
        share = calls // len(self._callers)
        taken: list[float] = []
        failed: list[BaseException] = []

        def work(number: int, caller: ToolCaller) -> None:
            try:
                for call in range(number * share, (number + 1) * share):
                    given = arguments(call)
                    began = time.perf_counter()
                    caller.call(tool, given)
                    taken.append(time.perf_counter() - began)
            except BaseException as error:
                failed.append(error)

        threads = [
            threading.Thread(target=work, args=numbered) for numbered in enumerate(self._callers)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together = time.perf_counter() - began
        if failed:
            raise failed[0]
        return Round(taken, together)

    def close(self) -> None:
        """Close all connections."""
        for caller in self._callers:
            caller.close()
