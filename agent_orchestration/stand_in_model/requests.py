"""Requests to the stand-in, refused for what OpenAI's service refuses, in its words."""

import re
from typing import Any

import msgspec

ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Refusal(Exception):
    """A request that is answered with OpenAI's error body."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Called(msgspec.Struct):
    """The function of a call or a tool."""

    name: str
    arguments: str = ""
    parameters: dict[str, Any] = {}


class Call(msgspec.Struct):
    """A call of a tool that an assistant made."""

    id: str
    function: Called


class Message(msgspec.Struct, omit_defaults=True):
    """A message of the conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Call] = []
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its content as text."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class Tool(msgspec.Struct):
    """A tool that is offered."""

    type: str
    function: Called


class StreamOptions(msgspec.Struct):
    """What comes with a stream."""

    include_usage: bool = False


class JsonSchema(msgspec.Struct):
    """The form that the answer is to have."""

    name: str
    schema: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct):
    """The kind of answer that is asked for."""

    type: str
    json_schema: JsonSchema | None = None


class Request(msgspec.Struct):
    """A request for an answer."""

    model: str
    messages: list[Message]
    tools: list[Tool] = []
    tool_choice: str | dict[str, Any] = "auto"
    response_format: ResponseFormat | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    @property
    def limit(self) -> int | None:
        """Tokens that the answer may have."""
        return self.max_completion_tokens or self.max_tokens


def parse(body: bytes) -> Request:
    """The request in a body. Raises `Refusal`."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.ValidationError as error:
        found = re.search(r"at `\$\.?([^`]*)`", str(error)) or re.search(r"`(\w+)`$", str(error))
        raise Refusal(400, f"Invalid request: {error}.", param=found and found[1]) from None
    except (ValueError, RecursionError):
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if not request.messages:
        raise Refusal(400, "Invalid 'messages': empty array.", param="messages")
    for number, message in enumerate(request.messages):
        _check_role(number, message)
    _check_calls(request.messages)
    _check_options(request)
    return request


def _check_role(number: int, message: Message) -> None:
    where = f"messages[{number}]"
    if message.role not in ROLES:
        known = ", ".join(f"'{role}'" for role in ROLES)
        reason = f"Invalid value: '{message.role}'. Supported values are: {known}."
        raise Refusal(400, reason, code="invalid_value", param=f"{where}.role")
    if message.content is None and not message.tool_calls:
        reason = f"Invalid value for 'content': expected a string, got null in {where}."
        raise Refusal(400, reason, param=f"{where}.content")
    if message.tool_calls and message.role != "assistant":
        raise Refusal(400, f"'tool_calls' is for assistants only in {where}.", param=where)


def _check_calls(messages: list[Message]) -> None:
    """Every call is answered by the messages that follow it, and nothing else is."""
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                reason = (
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'."
                )
                raise Refusal(400, reason, param=f"{where}.role")
            waiting.discard(message.tool_call_id)
            continue
        _check_answered(waiting, where)
        waiting = {call.id for call in message.tool_calls}
    _check_answered(waiting, "messages")


def _check_answered(waiting: set[str], where: str) -> None:
    if waiting:
        reason = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(waiting))
        )
        raise Refusal(400, reason, param=where)


def _check_options(request: Request) -> None:
    for number, tool in enumerate(request.tools):
        if not _NAME.fullmatch(tool.function.name):
            reason = f"Invalid 'tools[{number}].function.name': does not match the pattern."
            raise Refusal(400, reason, param=f"tools[{number}].function.name")
    if request.limit is not None and request.limit < 1:
        raise Refusal(400, "Invalid 'max_tokens': the minimum is 1.", param="max_tokens")
    wanted = request.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is None:
        param = "response_format.json_schema"
        raise Refusal(400, f"Missing required parameter: '{param}'.", param=param)
    if request.stream_options is not None and not request.stream:
        reason = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refusal(400, reason, param="stream_options")
