"""What is wrong with a question, in the same words for every engine.

Reasons say where and what to do, never the statement or its parameters, which may be a caller's.
"""

from agent_orchestration.core.errors import Rejected


class TooSlow(Rejected):
    """The statement passed its deadline."""


class WouldWrite(Rejected):
    """The statement is not one that only reads."""


def too_slow(seconds: float) -> TooSlow:
    """The statement took longer than it was given."""
    reason = f"the query took longer than {seconds:g} s: start from an id, or narrow it"
    return TooSlow("query_too_slow", reason, field="query")


def would_write() -> WouldWrite:
    """The statement writes."""
    reason = "the query would write: only reading is allowed"
    return WouldWrite("query_writes", reason, field="query")


def query_failed(code: str | None, line: int | None = None, column: int | None = None) -> Rejected:
    """The engine refused the statement with its own `code`, at a place where it names one."""
    where = f" at line {line}, column {column}" if line else ""
    reason = f"the query fails ({code}{where}): correct it"
    return Rejected("query_failed", reason, field="query")


def parameter_not_allowed(error: Exception) -> Rejected:
    """A parameter is of a kind that no engine takes."""
    reason = f"a parameter is not usable: {error}"
    return Rejected("parameter_not_allowed", reason, field="parameters")
