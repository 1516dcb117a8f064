"""Tools called over the plain HTTP API, many at once, with as little work for each as possible.

A client library would take more of the two cores than the server that is asked.
"""

import asyncio
import re
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import error_from_dict
from agent_orchestration.server.callers import headers_for

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
#: Status and body of an answer.
Raw = tuple[int, bytes]


class _Connection(asyncio.Protocol):
    """A kept connection with one request under way at most."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Raw] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    @property
    def alive(self) -> bool:
        return self._transport is not None

    def send(self, request: bytes) -> asyncio.Future[Raw]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class HttpCalls:
    """Calls of the server at `url`, each over a connection that no other call uses meanwhile."""

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self._host, self._port, self._token = address.hostname, address.port, token
        self._idle: list[_Connection] = []

    async def __call__(self, tool: str, tenant: str, **arguments: Any) -> dict[str, Any]:
        """The tool's answer. Raises the `PlatformError` that it is told, `OSError` where the
        server cannot be reached."""
        connection = await self._connection()
        try:
            status, body = await connection.send(self._request(tool, tenant, arguments))
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        answer = _decode(body)
        if status != 200:
            raise error_from_dict(answer)
        return answer["result"]

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection

    def _request(self, tool: str, tenant: str, arguments: dict[str, Any]) -> bytes:
        body = _encode(arguments)
        headers = {
            "Host": f"{self._host}:{self._port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers_for(Caller(tenant=tenant), self._token),
        }
        lines = [f"POST /api/v1/tools/{tool} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body
