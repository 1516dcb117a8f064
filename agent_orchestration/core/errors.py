"""Every error a caller can meet, divided by what the caller should do about it.

PlatformError
├── Rejected         the rules say no: change the request (code, reason, field, ids)
├── Conflict         the same idempotency key came with another body: use a new key
├── NotFound         nothing with that id: check the id
├── Unauthenticated  nobody knows who is asking: get a token, or a new one
├── Forbidden        the caller's role does not allow it: ask somebody who may
├── Busy             retryable: wait `retry_after` seconds
├── Unavailable      log, graph or service unreachable, or the outcome unknown: repeat the request
└── Corrupt          a stored fact is unreadable: stop loudly, never skip
"""

from typing import Any, ClassVar


class PlatformError(Exception):
    """Base of all errors that are shown to callers. `kind` names it on the wire."""

    kind: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.details = details

    def to_dict(self) -> dict[str, Any]:
        """The error as it travels: `{error, code, reason, …details}`."""
        return {"error": self.kind, "code": self.code, "reason": self.reason, **self.details}


class Rejected(PlatformError):
    """The rules of the platform refuse the request; changing it is the remedy."""

    kind = "rejected"
    http_status = 422
    exit_code = 3


class Conflict(PlatformError):
    """An idempotency key was used before with another request body."""

    kind = "conflict"
    http_status = 409
    exit_code = 4


class NotFound(PlatformError):
    """No entity has that id."""

    kind = "not_found"
    http_status = 404
    exit_code = 5


class Unauthenticated(PlatformError):
    """The request has no token, or one that is not accepted."""

    kind = "unauthenticated"
    http_status = 401
    exit_code = 10


class Forbidden(PlatformError):
    """The principal's role does not allow the tool."""

    kind = "forbidden"
    http_status = 403
    exit_code = 6


class Busy(PlatformError):
    """Too much is asked for now; nothing was written. `retry_after` is in seconds."""

    kind = "busy"
    retryable = True
    http_status = 503
    exit_code = 7


class Unavailable(PlatformError):
    """The log, the graph or a service beside them cannot be reached, or the outcome is unknown;
    repeating is harmless."""

    kind = "unavailable"
    retryable = True
    http_status = 503
    exit_code = 8


class Corrupt(PlatformError):
    """A stored fact cannot be read or contradicts another; the partition stops."""

    kind = "corrupt"
    http_status = 500
    exit_code = 9


ERRORS: dict[str, type[PlatformError]] = {
    cls.kind: cls
    for cls in (
        Rejected,
        Conflict,
        NotFound,
        Unauthenticated,
        Forbidden,
        Busy,
        Unavailable,
        Corrupt,
    )
}


def error_from_dict(data: dict[str, Any]) -> PlatformError:
    """The inverse of `PlatformError.to_dict`, for callers across a process boundary."""
    rest = {k: v for k, v in data.items() if k not in ("error", "code", "reason")}
    return ERRORS.get(data.get("error", ""), PlatformError)(
        str(data.get("code", "error")), str(data.get("reason", "")), **rest
    )
