"""The short way of an MCP tool call over HTTP.

The framework sets up a session, streams and several tasks for every request, which takes longer
than most tools do. A tool call that needs no session needs none of that: here it is read, passed to
the dispatcher, and answered as the framework would answer it. Whatever is not plainly such a call
goes on to the framework as it came.
"""

from typing import Any, Literal

import msgspec
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.logs import caller_fields
from agent_orchestration.server.callers import correlated, traced
from agent_orchestration.server.errors import error_text, masked
from agent_orchestration.server.guard import CALLER
from agent_orchestration.server.logged import logged_call
from agent_orchestration.server.measured import TOOL

_JSON = b"application/json"
_VERSIONS = frozenset(version.encode() for version in HANDSHAKE_PROTOCOL_VERSIONS)


async def outcome(
    dispatcher: Dispatcher, tool: str, arguments: dict[str, Any], caller: Caller
) -> dict[str, Any] | PlatformError:
    """A tool's answer, or its error; what was not expected is masked."""
    caller = correlated(caller)  # over HTTP it is; a client over stdio says nothing of itself
    with caller_fields(caller):
        try:
            return await logged_call(dispatcher, tool, arguments, caller)
        except PlatformError as error:
            return error
        except Exception as unexpected:
            return masked(tool, unexpected, caller.correlation)


class ToolCalls:
    """ASGI middleware: answers plain tool calls at `path`, passes everything else on."""

    def __init__(self, app: ASGIApp, dispatcher: Dispatcher, path: str) -> None:
        self._app = app
        self._dispatcher = dispatcher
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != self._path or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        messages = await _whole(receive)
        request = _parsed(b"".join(message.get("body", b"") for message in messages))
        if request is None or request.params.name not in self._dispatcher.registry.tools:
            await self._app(scope, _again(messages, receive), send)
            return
        call = request.params
        scope[TOOL] = call.name
        caller = (
            scope[CALLER] if call.meta is None else traced(scope[CALLER], call.meta.traceparent)
        )
        answer = await outcome(self._dispatcher, call.name, call.arguments or {}, caller)
        response = Response(_encoded(request.id, answer), media_type="application/json")
        await response(scope, receive, send)


class _Meta(msgspec.Struct, rename="camel"):
    """Whether to tell of progress, which no tool does, the trace that the call belongs to, and what
    other programs may add."""

    progress_token: int | str | msgspec.UnsetType = msgspec.UNSET
    traceparent: Any = None


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | None = None
    meta: _Meta | None = msgspec.field(default=None, name="_meta")


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    id: int | str
    method: Literal["tools/call"]
    params: _Call


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def _is_plain(scope: Scope) -> bool:
    """Whether the headers ask for one JSON answer, in a protocol version where they say no more."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    version = headers.get(b"mcp-protocol-version")
    return (
        scope["method"] == "POST"
        and headers.get(b"content-type") == _JSON
        and _JSON in headers.get(b"accept", b"")
        and (version is None or version in _VERSIONS)
    )


def _parsed(body: bytes) -> _Request | None:
    """The call, None for any other message and for what is none."""
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        return None


def _encoded(request_id: int | str, answer: dict[str, Any] | PlatformError) -> bytes:
    result: dict[str, Any] = {"isError": isinstance(answer, PlatformError)}
    if isinstance(answer, PlatformError):
        text = error_text(answer)
    else:
        encoded = _encode(answer)
        text = encoded.decode()
        result["structuredContent"] = msgspec.Raw(encoded)
    result["content"] = [{"type": "text", "text": text}]
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


async def _whole(receive: Receive) -> list[Message]:
    """The messages of a request until its body is complete, or its client gone."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """Receives what was received before, then what follows."""
    pending = iter(messages)

    async def replayed() -> Message:
        return next(pending, None) or await receive()

    return replayed
