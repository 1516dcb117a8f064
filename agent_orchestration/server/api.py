"""The HTTP routes beside `/mcp`: health, readiness, metrics, tools, blobs, operations, circuit
breakers, the status page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Any, cast
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from agent_orchestration import __version__
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import Forbidden, PlatformError, Rejected
from agent_orchestration.core.operations import Operation
from agent_orchestration.core.tool import Tool
from agent_orchestration.resilience import BREAKERS
from agent_orchestration.server.callers import has_token
from agent_orchestration.server.errors import error_json, error_response, masked
from agent_orchestration.server.guard import CALLER
from agent_orchestration.server.logged import logged_call
from agent_orchestration.server.measured import TOOL
from agent_orchestration.server.page import status_page

Handler = Callable[[Request], Awaitable[Response]]
_NO_STORE = {"Cache-Control": "no-store"}
_JSON_HELP = (
    "send one JSON object in UTF-8, the tool's arguments by name, without lone surrogates, NUL "
    "bytes or numbers out of range"
)


def json_response(data: Any, status: int = 200) -> Response:
    """Plain data as JSON that is not cached."""
    return Response(msgspec.json.encode(data), status, _NO_STORE, "application/json")


class Api:
    """The handlers. Errors become typed JSON with the status of their kind."""

    def __init__(self, dispatcher: Dispatcher, token: str | None) -> None:
        self._dispatcher = dispatcher
        self._token = token

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Each route's method, path and handler."""
        return [
            ("GET", "/", typed(self.page)),
            ("GET", "/status.css", _static("status.css", "text/css")),
            ("GET", "/icon.svg", _static("icon.svg", "image/svg+xml")),
            ("GET", "/health", typed(self.health)),
            ("GET", "/ready", typed(self.ready)),
            ("GET", "/metrics", typed(self.metrics)),
            ("GET", "/api/v1/tools", typed(self.tools)),
            ("POST", "/api/v1/tools/{name}", typed(self.call)),
            ("GET", "/api/v1/blobs/{digest}", typed(self.blob)),
            ("GET", "/api/v1/tasks/{task_id}/artifacts/{name:path}", typed(self.artifact)),
            ("POST", "/api/v1/operations", typed(self.operate)),
            ("GET", "/api/v1/circuit-breakers/status", typed(self.circuit_breakers)),
        ]

    async def page(self, request: Request) -> Response:
        """The status page."""
        url = str(request.base_url).rstrip("/")
        # Where nobody has to say who they are, the page asks nobody.
        caller = request.scope.get(CALLER) or Caller()
        page = await status_page(self._dispatcher, url, caller)
        return HTMLResponse(page, headers=_NO_STORE)

    async def health(self, request: Request) -> Response:
        """The process is alive; says nothing about what it depends on."""
        del request
        return json_response({"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> Response:
        """Whether tools can be called: 200, or 503 with the checks that fail."""
        del request
        status = await self._dispatcher.status()
        return json_response(status | {"version": __version__}, 200 if status["ready"] else 503)

    async def metrics(self, request: Request) -> Response:
        """The metrics of this process, in the format that a Prometheus asks for."""
        from agent_orchestration.metrics import exposed  # noqa: PLC0415 (start-up time)

        content, media_type = exposed(request.headers.get("Accept", ""))
        return Response(content, headers=_NO_STORE | {"Content-Type": media_type})

    async def tools(self, request: Request) -> Response:
        """Every tool that the caller's role permits."""
        role = _caller(request).principal.role
        permitted = (t for t in self._dispatcher.registry.tools.values() if t.allows(role))
        return json_response({"tools": [_described(tool) for tool in permitted]})

    async def call(self, request: Request) -> Response:
        """Call a tool; the body holds its arguments."""
        arguments = parse_arguments(await request.body())
        name = request.path_params["name"]
        if name in self._dispatcher.registry.tools:
            request.scope[TOOL] = name
        answer = await logged_call(self._dispatcher, name, arguments, _caller(request))
        return json_response({"result": answer})

    async def blob(self, request: Request) -> Response:
        """The bytes of a blob. They never change under their digest."""
        digest = request.path_params["digest"]
        content = await self._dispatcher.read_blob(digest, _caller(request))
        headers = {
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Disposition": "attachment",
        }
        return Response(content, headers=headers, media_type="application/octet-stream")

    async def artifact(self, request: Request) -> Response:
        """The bytes of what a task produced under that name, in `?attempt=` or the last one."""
        caller = _caller(request)
        asked = {**request.query_params, **request.path_params}
        found = (await self._dispatcher.call("get_artifact", asked, caller))["artifact"]
        content = await self._dispatcher.read_blob(found["sha256"], caller)
        return Response(content, headers=_artifact_headers(found), media_type=found["media_type"])

    async def operate(self, request: Request) -> Response:
        """An operator's long work, a line of JSON for each step; only for the owner of the data."""
        if not has_token(request.headers, self._token):
            raise Forbidden(
                "token_required", "operations need the server's token in Authorization: Bearer"
            )
        steps = self._dispatcher.operate(_operation(await request.body()))
        first = await anext(steps)  # an error before the first step has its own status
        lines = _lines(first, steps, _caller(request))
        return StreamingResponse(lines, headers=_NO_STORE, media_type="application/x-ndjson")

    async def circuit_breakers(self, request: Request) -> Response:
        """How the breakers of this process are, each of which guards a service, and the agents that
        have one elsewhere that is not closed."""
        # Who answers the tool may be another process: the one that this one has joined.
        arguments = dict(request.query_params)
        answer = await self._dispatcher.call("circuit_breaker_status", arguments, _caller(request))
        return json_response(answer | {"circuit_breakers": BREAKERS.status()})


def _artifact_headers(artifact: dict[str, Any]) -> dict[str, str]:
    """For a browser that is to keep it, whatever it is: to open it would be to trust an agent."""
    file_name = quote(artifact["name"].rpartition("/")[2], safe="")
    return {
        **_NO_STORE,
        "Content-Disposition": f"attachment; filename*=utf-8''{file_name}",
        "ETag": f'"{artifact["sha256"]}"',
    }


def _operation(body: bytes) -> Operation:
    try:
        return msgspec.json.decode(body, type=Operation)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected("invalid_argument", f"body: {error}", field="body") from None


class Malformed(Rejected):
    """The body is no request at all."""

    http_status = 400


def parse_arguments(body: bytes) -> dict[str, Any]:
    """A body as a JSON object; an empty one is an empty object. Raises `Malformed`."""
    try:
        arguments = msgspec.json.decode(body or b"{}")
    except RecursionError:
        raise Malformed(
            "json_too_deep", "body: nested too deeply; flatten it", field="body"
        ) from None
    except ValueError as error:
        raise Malformed("malformed_json", f"body: {error}; {_JSON_HELP}", field="body") from None
    if not isinstance(arguments, dict):
        raise Malformed("not_an_object", f"body: not an object; {_JSON_HELP}", field="body")
    return cast("dict[str, Any]", arguments)


def typed(handler: Handler) -> Handler:
    """The handler with its errors as JSON: typed ones as they are, unexpected ones masked."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except PlatformError as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it; the number is a common one for that
        except Exception as unexpected:
            caller: Caller | None = request.scope.get(CALLER)
            correlation = caller.correlation if caller else None
            return error_response(masked(request.url.path, unexpected, correlation))

    return answer


def _static(name: str, media_type: str) -> Handler:
    content = (files("agent_orchestration.server") / "static" / name).read_bytes()

    async def answer(request: Request) -> Response:
        del request
        return Response(content, headers={"Cache-Control": "no-cache"}, media_type=media_type)

    return answer


def _caller(request: Request) -> Caller:
    return request.scope[CALLER]


def _described(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "role": tool.role,
        "toolsets": tool.toolsets,
        "read_only": tool.read_only,
        "destructive": tool.destructive,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
    }


async def _lines(
    first: dict[str, Any], steps: AsyncIterator[dict[str, Any]], caller: Caller
) -> AsyncIterator[bytes]:
    """The steps as NDJSON; an error on the way is the last line, as its status has been sent."""
    try:
        yield msgspec.json.encode(first) + b"\n"
        async for step in steps:
            yield msgspec.json.encode(step) + b"\n"
    except PlatformError as error:
        yield error_json(error) + b"\n"
    except Exception as unexpected:
        yield error_json(masked("the operation", unexpected, caller.correlation)) + b"\n"
