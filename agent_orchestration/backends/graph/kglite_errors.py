"""What the embedded graph's engine raises, as the errors that the platform knows."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import kglite

from agent_orchestration.backends.graph import GraphUnreadable, WriteRefused, read_errors
from agent_orchestration.core.errors import Unavailable


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
    """While reading: `Unavailable` where it may work later, `Rejected` where it never will."""
    try:
        yield
    except kglite.CypherTimeoutError as error:
        raise read_errors.too_slow(seconds) from error
    except kglite.ReadOnlyError as error:
        raise read_errors.would_write() from error
    except kglite.FileIoError as error:
        raise Unavailable("graph_io", f"the graph cannot be read: {error}") from error
    except kglite.KgError as error:
        line, column = getattr(error, "line", None), getattr(error, "col", None)
        raise read_errors.query_failed(error.code, line, column) from error
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise read_errors.parameter_not_allowed(error) from error
