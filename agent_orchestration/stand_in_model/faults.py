"""How the stand-in fails: refusals, and answers that break on their way."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent_orchestration.stand_in_model.answers import Answer
from agent_orchestration.stand_in_model.requests import Refusal, Request
from agent_orchestration.stand_in_model.script import Rule

BROKEN = ("hang", "cut", "malformed", "not_utf8")
"""Faults that break an answer on its way."""
_MEGABYTE = 1024 * 1024


def refusal(rule: Rule, request: Request) -> Refusal | None:
    """The refusal that the rule's fault is, if it is one; in OpenAI's words."""
    match rule.fault:
        case "key_refused":
            return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        case "unknown_model":
            return unknown_model(request.model)
        case "rate_limit":
            headers = {"Retry-After": f"{rule.retry_after:g}"}
            code = "rate_limit_exceeded"
            return Refusal(429, "Rate limit reached.", "requests", code=code, headers=headers)
        case "quota":
            code = "insufficient_quota"
            return Refusal(429, "You exceeded your current quota.", code, code=code)
        case "outage":
            return Refusal(500, "The server had an error.", "server_error")
        case _:
            return None


def unknown_model(model: str) -> Refusal:
    """The refusal of a model that there is not."""
    reason = f"The model '{model}' does not exist or you do not have access to it."
    return Refusal(404, reason, code="model_not_found", param="model")


def faulty_answer(rule: Rule, request: Request) -> Answer | None:
    """The answer that is the rule's fault, if it is one: whole, but not what was asked for."""
    match rule.fault:
        case "huge":
            return Answer("x" * (rule.megabytes * _MEGABYTE))
        case "wrong_tool":
            return Answer(calls=(("no_such_tool", "{}"),), finish_reason="tool_calls")
        case "wrong_arguments":
            name = request.tools[0].function.name if request.tools else "tool"
            return Answer(calls=((name, '{"unclosed": '),), finish_reason="tool_calls")
        case _:
            return None


def broken(fault: str, parts: Sequence[bytes], headers: dict[str, str], media: str) -> Response:
    """The answer, whose bytes are `parts`, broken as the fault says about in its middle."""
    middle = len(parts) // 2
    first, last = list(parts[:middle]), list(parts[middle:])
    if fault == "malformed":
        return Response(b"".join([*first, _halved(last[0])]), headers=headers, media_type=media)
    if fault == "not_utf8":
        spoilt = last[0].replace(b'"stand-in', b'"\xff\xfe', 1)
        whole = b"".join([*first, spoilt, *last[1:]])
        return Response(whole, headers=headers, media_type=media)
    # A whole answer's only part is halved; of pieces, the first half of them is sent.
    sent = b"".join(first) or parts[0][: len(parts[0]) // 2]
    return _Unfinished(sent, headers=headers, media_type=media, hangs=fault == "hang")


def _halved(part: bytes) -> bytes:
    """The first half, on one line, so that what follows does not complete it."""
    return part.rstrip(b"\n")[: len(part) // 2] + b"\n\n"


class _Unfinished(Response):
    """An answer of which nothing more comes: the connection ends, or the client's patience."""

    def __init__(
        self, content: bytes, *, headers: dict[str, str], media_type: str, hangs: bool
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._hangs = hangs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; without a last part the server closes the connection."""
        del scope
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        while self._hangs and (await receive())["type"] != "http.disconnect":
            pass
