"""What both graphs can store: checked before an event is appended, so that folding cannot fail."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent_orchestration.core.errors import Rejected

INT64 = 2**63
INDEXED_TEXT_BYTES = 1024
TEXT_BYTES = 64 * 1024
SHORT_TEXT = 240
"""Characters of a text that is short enough for an index, whatever they are."""
SHORT_BYTES = 640
"""The JSON of an event in which every text is short enough for an index."""
PLAIN_BYTES = 16 * 1024
"""The JSON of an event in which every text is short enough for a property."""
PLAIN_NUMBER = 10**13
"""Any graph can store a smaller number, also as a time in milliseconds since 1970."""
_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * len(str(PLAIN_NUMBER))


def is_plain(encoded: bytes) -> bool:
    """Whether all numbers in some JSON are below `PLAIN_NUMBER`. False may be wrong."""
    return _LONG_NUMBER not in encoded.translate(_AS_ZEROS)


def check_row(
    row: Mapping[str, Any], indexed: frozenset[str] = frozenset(), text_bytes: int = TEXT_BYTES
) -> None:
    """Raise `Rejected` naming the property that a graph could not hold."""
    for name, value in row.items():
        limit = INDEXED_TEXT_BYTES if name in indexed or name == "id" else text_bytes
        problem = _problem(value, limit)
        if problem:
            raise Rejected("not_storable", f"{name}: {problem}", field=name)


def _problem(value: Any, limit: int) -> str:
    if isinstance(value, str):
        return _text_problem(value, limit)
    if isinstance(value, bool | datetime) or value is None:
        return ""
    if isinstance(value, int):
        return "" if -INT64 <= value < INT64 else "is beyond 64-bit integers"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is not a finite number"
    if isinstance(value, list):
        return _list_problem(value, limit)  # pyright: ignore[reportUnknownArgumentType]
    return "has a type the graph cannot hold"


def _text_problem(value: str, limit: int) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "contains a lone surrogate; send valid Unicode"
    return "" if size <= limit else f"is {size} bytes long; at most {limit} are allowed"


def _list_problem(values: list[Any], limit: int) -> str:
    kinds: set[type[Any]] = {type(value) for value in values}
    if len(kinds) > 1:
        return "mixes types in one list"
    if values and isinstance(values[0], list):
        return "nests a list in a list"
    return next((found for value in values if (found := _problem(value, limit))), "")
