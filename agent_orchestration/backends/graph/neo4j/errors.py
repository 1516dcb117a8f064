"""What Neo4j and its driver raise, as the errors that the platform knows."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager

from neo4j.exceptions import (
    BrokenRecordError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
)

from agent_orchestration.backends.graph import WriteRefused, read_errors
from agent_orchestration.core.errors import PlatformError, Unavailable
from agent_orchestration.measures import CONNECTION_FAILURES

#: The server's errors about what it was asked; all others are about its own state.
_REQUEST = re.compile(
    r"Neo\.(ClientError\.(Statement|Schema|Procedure)|DatabaseError\.Schema)\."
    # More than one transaction may hold: less of it at a time may pass.
    r"|Neo\.ClientError\.General\.TransactionOutOfMemoryError"
)
_TIMED_OUT = re.compile(r"Neo\.ClientError\.Transaction\.TransactionTimedOut\w*")
_LOGIN = re.compile(r"Neo\.ClientError\.Security\.")
_POSITION = re.compile(r"\(line (\d+), column (\d+)")
#: Told as an error of the database, though it is the value's.
_TOO_LARGE = "too large to index"
#: What a statement looked at was deleted by another one before it ended.
_OVERTAKEN = {"Neo.TransientError.Transaction.Outdated", "Neo.ClientError.Statement.EntityNotFound"}
_UNUSABLE = (OverflowError, TypeError, ValueError, RecursionError)


class Neo4jConnectionError(Unavailable):
    """Neo4j cannot be reached, lets nobody in or did not finish; repeating is harmless."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        CONNECTION_FAILURES.add()


class Overtaken(Unavailable):
    """What was being read was deleted meanwhile: reading again finds the graph as it is now."""


@contextmanager
def opening_errors(uri: str) -> Generator[None]:
    """While connecting: the reasons name the server."""
    try:
        yield
    except (Neo4jError, DriverError) as error:
        raise _passing(error, f"{uri}: ") from error
    except TimeoutError as error:
        raise Neo4jConnectionError("graph_unreachable", f"{uri}: Neo4j does not answer") from error


@contextmanager
def writing_errors() -> Generator[None]:
    """While writing: `Unavailable` where it may work later, `WriteRefused` where it never will."""
    try:
        yield
    except Neo4jError as error:
        raise _of_write(error) from error
    except DriverError as error:
        raise _passing(error) from error
    except TimeoutError as error:
        reason = "Neo4j did not finish in time: whether it wrote is unknown"
        raise Neo4jConnectionError("graph_too_slow", reason) from error
    except _UNUSABLE as error:
        raise WriteRefused("graph_refused", str(error)[:500]) from error


@contextmanager
def reading_errors(seconds: float, answered: Callable[[], bool]) -> Generator[None]:
    """While reading: `Unavailable` where it may work later, `Rejected` where it never will.

    Only a server that has begun to answer is too slow for a question. Of one that is silent the
    question knows nothing, and a caller must not be told to change it.
    """
    try:
        yield
    except Neo4jError as error:
        raise _of_read(error, seconds) from error
    except BrokenRecordError as error:
        raise read_errors.query_failed("BrokenRecord") from error
    except DriverError as error:
        raise _passing(error) from error
    except TimeoutError as error:
        if not answered():
            reason = f"Neo4j did not answer within {seconds:g} s: repeat in a while"
            raise Neo4jConnectionError("graph_unreachable", reason) from error
        raise read_errors.too_slow(seconds) from error
    except _UNUSABLE as error:
        raise read_errors.parameter_not_allowed(error) from error


def _of_write(error: Neo4jError) -> PlatformError:
    message = error.message or ""
    if _is_request(error) or _TOO_LARGE in message:
        return WriteRefused("graph_refused", f"{error.code}: {message}"[:500])
    return _passing(error)


def _of_read(error: Neo4jError, seconds: float) -> PlatformError:
    code = error.code or ""
    if _TIMED_OUT.fullmatch(code):
        return read_errors.too_slow(seconds)
    if code == "Neo.ClientError.Statement.AccessMode":
        return read_errors.would_write()
    if _is_request(error):
        place = _POSITION.search(error.message or "")
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        return read_errors.query_failed(code.rpartition(".")[2], line, column)
    return _passing(error)


def _is_request(error: Neo4jError) -> bool:
    code = error.code or ""
    return bool(_REQUEST.match(code)) and code not in _OVERTAKEN


def _passing(error: Neo4jError | DriverError, where: str = "") -> Unavailable:
    if isinstance(error, Neo4jError) and error.code in _OVERTAKEN:
        return Overtaken("graph_overtaken", "what was read was deleted meanwhile: read it again")
    code, reason = _said(error)
    return Neo4jConnectionError(code, where + reason)


def login_refused(error: Neo4jError) -> Neo4jConnectionError:
    """The server lets this user do nothing."""
    return Neo4jConnectionError(*_said(error))


def _said(error: Neo4jError | DriverError) -> tuple[str, str]:
    """Code and reason."""
    if isinstance(error, IncompleteCommit):
        reason = "the connection broke while Neo4j committed: whether it wrote is unknown"
        return "graph_commit_unknown", reason
    if isinstance(error, DriverError):
        return "graph_unreachable", f"Neo4j cannot be reached ({type(error).__name__})"
    if _LOGIN.match(error.code or ""):
        reason = f"Neo4j refuses the login ({error.code}): check NEO4J_USERNAME and NEO4J_PASSWORD"
        return "graph_login_refused", reason
    return "graph_unavailable", f"Neo4j cannot do it now ({error.code})"
