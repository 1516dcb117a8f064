"""What the OpenAI client raises, as the platform's errors. None of them holds the key."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable

if TYPE_CHECKING:
    import openai

_QUOTED = 300
_QUOTA = "insufficient_quota"


def bad_answer(what: str) -> Unavailable:
    """The error for an answer that cannot be used; `what` goes on after "the model's answer"."""
    reason = f"the model's answer {what}; ask again, and if it stays so see the service's log"
    return Unavailable("model_bad_answer", reason)


def timed_out(model: str, seconds: float) -> Unavailable:
    """The error for an answer, or its next piece, that did not come within so many seconds."""
    reason = (
        f"{model}: nothing came for {seconds:g} seconds; ask again, for less at once, or raise "
        "openai.request_timeout"
    )
    return Unavailable("model_timeout", reason)


def no_key() -> Rejected:
    """The error where OpenAI's own service is to be asked without a key."""
    reason = (
        "openai.api_key: OpenAI asks for a key; set OPENAI_API_KEY, or OPENAI_BASE_URL for a "
        "service that needs none"
    )
    return Rejected("model_key", reason, field="openai.api_key")


def translated(
    error: "openai.OpenAIError", model: str, base_url: str, key: str | None
) -> PlatformError:
    """The platform's error for a request that was not answered with 200."""
    import openai  # noqa: PLC0415 (start-up time)

    if isinstance(error, openai.APIStatusError):
        return _of_status(error, model, base_url, key)
    cause = error.__cause__ or error
    reason = (
        f"{base_url} cannot be reached ({type(cause).__name__}); check openai.base_url and that "
        "the service runs"
    )
    return Unavailable("model_unavailable", reason)


def reported(error: Any, model: str, key: str | None) -> PlatformError:
    """The platform's error for one that came inside an answer, where the status is sent already."""
    found = cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": error}
    if found.get("code") == _QUOTA:
        return _quota(model)
    said = _said(found.get("message"), key)
    reason = f"{model}: the service gave up in the middle of its answer{said}; ask again"
    return Unavailable("model_unavailable", reason)


def _of_status(
    error: "openai.APIStatusError", model: str, base_url: str, key: str | None
) -> PlatformError:
    status = error.status_code
    body = error.body
    said = _said(cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else "", key)
    after = _retry_after(error.response.headers.get("retry-after"))
    wait = {} if after is None else {"retry_after": after}
    if status in {401, 403}:
        # What the service says here may quote the key in a form of its own.
        refused = "asks for a key" if key is None else "refuses the key"
        reason = f"{base_url} {refused} ({status}); set OPENAI_API_KEY to one that it accepts"
        return Rejected("model_key", reason, field="openai.api_key")
    if status == 404:
        reason = (
            f"model: {base_url} does not know {model}{said}; choose one that it has, or correct "
            "openai.base_url"
        )
        return Rejected("unknown_model", reason, field="model")
    if status == 429:
        if _QUOTA in {error.code, error.type}:
            return _quota(model)
        reason = f"{model}: the service takes no more requests for now; wait, or ask less often"
        return Busy("model_busy", reason, **wait)
    if status >= 500 or status == 408:
        reason = f"{model}: the service failed ({status}){said}; ask again in a while"
        return Unavailable("model_unavailable", reason, **wait)
    reason = f"{model}: the service refuses the request ({status}){said}; change the request"
    return Rejected("model_refused", reason)


def _quota(model: str) -> Rejected:
    reason = f"{model}: the quota of the key is used up; raise it at the service, or use another"
    return Rejected("model_quota", reason, field="openai.api_key")


def _said(message: object, key: str | None) -> str:
    """The service's own words, shortened and without the key."""
    if not isinstance(message, str) or not message:
        return ""
    shown = " ".join((message.replace(key, "***") if key else message).split())
    return f": {shown[:_QUOTED]}"


def _retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header, which says them or a moment."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
