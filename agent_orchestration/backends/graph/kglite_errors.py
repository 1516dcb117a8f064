"""What the embedded graph's engine raises, as the errors that the platform knows."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import kglite

from agent_orchestration.backends.graph import GraphUnreadable, WriteRefused
from agent_orchestration.core.errors import Rejected, Unavailable


class TooSlow(Rejected):
    """The statement passed its deadline."""


class WouldWrite(Rejected):
    """The statement is not one that only reads."""


@contextmanager
def opening_errors(path: Path) -> Generator[None]:
    """While opening: `GraphUnreadable` for what is in the files, `Unavailable` for the rest."""
    try:
        yield
    except kglite.WriterLeaseHeldError as error:
        holder = error.holder.get("pid")
        raise Unavailable(
            "graph_in_use", f"{path.name} is open in process {holder}: end it first"
        ) from error
    except (kglite.FileIoError, OSError) as error:
        # A broken write-ahead file is told as an OSError without a number.
        if isinstance(error, OSError) and error.errno is None:
            raise GraphUnreadable("graph_unreadable", f"{path.name}: {error}") from error
        raise Unavailable("graph_io", f"{path.name} cannot be opened: {error}") from error
    except (kglite.KgError, RuntimeError, ValueError) as error:
        raise GraphUnreadable("graph_unreadable", f"{path.name}: {error}") from error


@contextmanager
def writing_errors() -> Generator[None]:
    """While writing: `Unavailable` where it may work later, `WriteRefused` where it never will."""
    try:
        yield
    except (kglite.FileIoError, kglite.TransactionConflictError, OSError) as error:
        raise Unavailable("graph_io", f"the graph cannot be written: {error}") from error
    except (kglite.KgError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise WriteRefused("graph_refused", str(error)[:500]) from error


@contextmanager
def reading_errors(seconds: float) -> Generator[None]:
    """While reading: the reasons say where, never the statement, which may be a caller's."""
    try:
        yield
    except kglite.CypherTimeoutError as error:
        reason = f"the query took longer than {seconds:g} s: start from an id, or narrow it"
        raise TooSlow("query_too_slow", reason, field="query") from error
    except kglite.ReadOnlyError as error:
        reason = "the query would write: only reading is allowed"
        raise WouldWrite("query_writes", reason, field="query") from error
    except kglite.FileIoError as error:
        raise Unavailable("graph_io", f"the graph cannot be read: {error}") from error
    except kglite.KgError as error:
        line, column = getattr(error, "line", None), getattr(error, "col", None)
        where = f" at line {line}, column {column}" if line else ""
        reason = f"the query fails ({error.code}{where}): correct it"
        raise Rejected("query_failed", reason, field="query") from error
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        reason = f"a parameter is not usable: {error}"
        raise Rejected("parameter_not_allowed", reason, field="parameters") from error
