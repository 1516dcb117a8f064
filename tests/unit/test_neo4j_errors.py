"""What each of Neo4j's errors means: change the request, or repeat it."""

import pytest
from neo4j.exceptions import (
    BrokenRecordError,
    ConnectionAcquisitionTimeoutError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from agent_orchestration.backends.graph import WriteRefused
from agent_orchestration.backends.graph.neo4j.errors import (
    Neo4jConnectionError,
    Overtaken,
    reading_errors,
    writing_errors,
)
from agent_orchestration.core.errors import PlatformError, Rejected, Unavailable


def error(code: str, message: str = "secret") -> Neo4jError:
    return Neo4jError._hydrate_neo4j(code=f"Neo.{code}", message=message)  # pyright: ignore[reportPrivateUsage]


def of_read(raised: Exception, *, answered: bool = True) -> PlatformError:
    with pytest.raises(PlatformError) as found, reading_errors(5, lambda: answered):
        raise raised
    return found.value


def of_write(raised: Exception) -> PlatformError:
    with pytest.raises(PlatformError) as found, writing_errors():
        raise raised
    return found.value


@pytest.mark.parametrize(
    "raised",
    [
        error("TransientError.Transaction.DeadlockDetected"),
        error("TransientError.Transaction.Terminated"),
        error("TransientError.General.DatabaseUnavailable"),
        error("TransientError.General.MemoryPoolOutOfMemoryError"),
        error("TransientError.Request.NoThreadsAvailable"),
        error("ClientError.Cluster.NotALeader"),
        error("ClientError.General.ForbiddenOnReadOnlyDatabase"),
        error("ClientError.Database.DatabaseNotFound"),
        error("ClientError.Security.Unauthorized"),
        error("ClientError.Statement.EntityNotFound"),
        error("DatabaseError.Transaction.TransactionCommitFailed"),
        error("DatabaseError.Statement.ExecutionFailed"),
        error("DatabaseError.General.UnknownError"),
        error("SomethingNew.Nobody.Knows"),
        ServiceUnavailable("nobody there"),
        SessionExpired("gone"),
        IncompleteCommit("who knows"),
        ConnectionAcquisitionTimeoutError("all in use"),
        DriverError("Driver closed"),
    ],
    ids=str,
)
def test_what_passes_is_unavailable(raised: Exception) -> None:
    for found in (of_read(raised), of_write(raised)):
        assert isinstance(found, Unavailable)
        assert isinstance(found, Neo4jConnectionError | Overtaken)
        assert "secret" not in found.reason


@pytest.mark.parametrize(
    "raised",
    [
        error("ClientError.Statement.TypeError"),
        error("ClientError.Statement.SemanticError"),
        error("ClientError.Schema.ConstraintValidationFailed"),
        error("ClientError.General.TransactionOutOfMemoryError"),
        error("DatabaseError.Schema.ConstraintCreationFailed"),
        OverflowError("int too large"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        TypeError("unorderable"),
        ValueError("not supported"),
    ],
    ids=repr,
)
def test_what_never_passes_is_refused_or_rejected(raised: Exception) -> None:
    assert isinstance(of_write(raised), WriteRefused)
    found = of_read(raised)
    assert isinstance(found, Rejected)
    assert found.code in {"query_failed", "parameter_not_allowed"}
    assert "secret" not in str(found.to_dict())


def test_a_value_too_large_for_its_index_is_refused() -> None:
    told = error(
        "DatabaseError.Statement.ExecutionFailed",
        "Property value is too large to index, please see index documentation for limitations.",
    )
    assert isinstance(of_write(told), WriteRefused)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (error("ClientError.Transaction.TransactionTimedOut"), "query_too_slow"),
        (
            error("ClientError.Transaction.TransactionTimedOutClientConfiguration"),
            "query_too_slow",
        ),
        (TimeoutError(), "query_too_slow"),
        (error("ClientError.Statement.AccessMode"), "query_writes"),
        (BrokenRecordError("year 10000"), "query_failed"),
    ],
    ids=repr,
)
def test_what_a_question_is_told(raised: Exception, code: str) -> None:
    assert of_read(raised).code == code


def test_silence_is_no_fault_of_the_question() -> None:
    found = of_read(TimeoutError(), answered=False)
    assert isinstance(found, Unavailable)
    assert found.code == "graph_unreachable"


def test_a_syntax_error_says_where() -> None:
    told = error(
        "ClientError.Statement.SyntaxError", "Invalid input (line 2, column 7 (offset: 9))"
    )
    assert of_read(told).reason == "the query fails (SyntaxError at line 2, column 7): correct it"


def test_what_a_write_does_not_know_says_so() -> None:
    for raised in (TimeoutError(), IncompleteCommit("who knows")):
        assert "unknown" in of_write(raised).reason


@pytest.mark.parametrize(
    "code", ["TransientError.Transaction.Outdated", "ClientError.Statement.EntityNotFound"]
)
def test_what_a_writer_deleted_meanwhile_is_read_again(code: str) -> None:
    assert isinstance(of_read(error(code)), Overtaken)
