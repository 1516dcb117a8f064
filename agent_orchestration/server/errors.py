"""How errors look to those outside: text for a model, JSON for a program, never a traceback."""

import json
import logging
import uuid

import msgspec
from starlette.responses import Response

from agent_orchestration.core.errors import PlatformError

logger = logging.getLogger(__name__)


def error_text(error: PlatformError) -> str:
    """One line `code: reason`, then the error's JSON: what a model reads."""
    line = f"{error.code}: {' '.join(error.reason.split())}"
    return f"{_unicode(line)}\n{error_json(error).decode()}"


def error_json(error: PlatformError) -> bytes:
    """The error as it travels: the JSON of `to_dict`, valid Unicode whatever it quotes."""
    data = error.to_dict()
    try:
        return msgspec.json.encode(data, enc_hook=str)
    except UnicodeEncodeError:
        return json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace")


def error_response(error: PlatformError, status: int | None = None) -> Response:
    """The HTTP answer: the error's JSON under its own status, or under `status`."""
    headers = {"Cache-Control": "no-store"}
    if error.retryable:
        headers["Retry-After"] = str(max(1, round(float(error.details.get("retry_after", 1)))))
    return Response(
        error_json(error),
        status_code=status or error.http_status,
        headers=headers,
        media_type="application/json",
    )


def masked(what: str, unexpected: Exception, correlation: str | None) -> PlatformError:
    """The error shown in place of an unexpected exception.

    The exception itself goes to the log only, under the correlation id that the caller is told:
    its own where it sent one, else a new one.
    """
    correlation = correlation or uuid.uuid4().hex
    logger.error("%s failed unexpectedly (correlation %s)", what, correlation, exc_info=unexpected)
    return PlatformError(
        "internal_error",
        f"{what} failed unexpectedly; the server's log has the cause under correlation "
        f"{_unicode(correlation)}",
        correlation=correlation,
    )


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
