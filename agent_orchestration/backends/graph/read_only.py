"""A caller's own Cypher: checked, bounded, and its answer made harmless.

`check_read_only` reads the text, then the engine's plan is asked, then the engine runs it where
nothing can be written. Each of them alone is known to be insufficient.
"""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import Any, cast

import msgspec

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.cypher_check import checked
from agent_orchestration.backends.graph.cypher_lexer import READ_ONLY_REMEDY
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Busy, Rejected

PARAMETER_BYTES = 64 * 1024
PARAMETER_DEPTH = 16
SECONDS = 5.0
ROWS = 1000
RESULT_BYTES = 256 * 1024
AT_ONCE = 2

_INT64 = 2**63
#: C0 and C1 control characters but tab and line feed, and what breaks lines in some readers.
_STRIPPED = {
    code: None for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029) if code not in {9, 10}
}


def check_read_only(query: str) -> None:
    """Raise `Rejected` unless the text is one statement that only reads the graph.

    Codes: `cypher_too_long` beyond 8 KiB, `cypher_not_allowed` with the position of what is not.
    """
    checked(query)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise `Rejected` unless the parameters are JSON with 64-bit integers, 64 KiB at most."""
    for name, value in parameters.items():
        problem = _problem(value, PARAMETER_DEPTH)
        if problem:
            field = f"parameters.{name}"[:80] if name.isidentifier() else "parameters"
            raise Rejected("parameters_not_allowed", f"{field} {problem}", field=field)
    size = len(msgspec.json.encode(dict(parameters)))
    if size > PARAMETER_BYTES:
        raise Rejected(
            "parameters_too_large",
            f"parameters: {size} bytes as JSON; at most {PARAMETER_BYTES} are allowed",
            field="parameters",
        )


def _problem(value: Any, depth: int) -> str:
    """What is wrong with a parameter, or nothing."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if -_INT64 <= value < _INT64 else "holds an integer beyond 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "holds a number that is not finite"
    if isinstance(value, str):
        return "" if _is_unicode(value) else "holds a lone surrogate; send valid Unicode"
    if depth == 0:
        return f"is nested more than {PARAMETER_DEPTH} deep"
    if isinstance(value, list):
        found = cast("list[Any]", value)
        return next((p for one in found if (p := _problem(one, depth - 1))), "")
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        if not all(isinstance(key, str) and _is_unicode(key) for key in entries):
            return "has a key that is not text"
        return next((p for one in entries.values() if (p := _problem(one, depth - 1))), "")
    return "holds something that is not JSON"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def run_read_only(graph: Graph, query: str, parameters: Mapping[str, Any]) -> list[Row]:
    """The rows of a caller's statement as plain JSON data: times as ISO 8601 text, texts without
    control characters, at most 1,000 rows and 256 KiB.

    Raises `Rejected`: what `check_read_only` and `check_parameters` raise, `query_too_slow` beyond
    5 s, `result_too_large`; `Unavailable` without graph.
    """
    statement = checked(query)
    check_parameters(parameters)
    if not await graph.explain_is_read(statement, parameters):
        raise Rejected(
            "cypher_not_allowed",
            f"the plan of this query does more than read: {READ_ONLY_REMEDY}",
            field="query",
        )
    rows = await graph.query(statement, parameters, seconds=SECONDS, limit=ROWS + 1)
    if len(rows) > ROWS:
        raise _too_large(f"more than {ROWS} rows")
    answer: list[Row] = []
    size = 0
    for row in rows:
        clean = _clean(row)
        size += len(msgspec.json.encode(clean))
        if size > RESULT_BYTES:
            raise _too_large(f"more than {RESULT_BYTES} bytes")
        answer.append(clean)
    return answer


def _too_large(what: str) -> Rejected:
    reason = f"the answer has {what}: add a LIMIT or return fewer properties"
    return Rejected("result_too_large", reason, field="query")


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.translate(_STRIPPED)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {_clean(str(key)): _clean(one) for key, one in entries.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in cast("list[Any]", value)]
    return _clean(str(value))


class ReadOnlyRunner:
    """Runs callers' statements, so many at once for each tenant."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._running: dict[str, int] = {}

    async def run(
        self, graph: Graph, query: str, parameters: Mapping[str, Any], tenant: str
    ) -> list[Row]:
        """See `run_read_only`. `Busy` while the tenant has its share running."""
        with self._slot(tenant):
            return await run_read_only(graph, query, parameters)

    @contextmanager
    def _slot(self, tenant: str) -> Generator[None]:
        running = self._running.get(tenant, 0)
        if running >= self._at_once:
            raise Busy(
                "too_many_queries",
                f"{running} queries of this tenant are running: wait for one to end",
                retry_after=1,
            )
        self._running[tenant] = running + 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
