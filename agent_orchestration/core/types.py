"""Types shared by commands and tools. Each carries its limits for msgspec and for pydantic."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.core.storable import INT64

# In Python `$` also matches before a line break at the end, hence `(?!\n)`; JSON Schema lacks `\Z`.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}(?!\n)$"
NO_CONTROL = r"^[^\x00-\x1f\x7f]*(?!\n)$"
NO_CONTROL_BUT_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
BLOB_KEY = "$blob"
BLOB_PATTERN = r'^\{"\$blob":"[0-9a-f]{64}","bytes":[0-9]{1,9}\}(?!\n)$'
BLOB_THRESHOLD = 64 * 1024
REQUEST_LIMIT = 10 * 1024 * 1024
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace_id>(?!0{32})[0-9a-f]{32})"
    r"-(?P<span_id>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
"""The context of a trace, as the W3C's header of that name has it."""
#: Readers of JSON give up somewhere beyond 200 levels, and an answer surrounds a value with some.
JSON_DEPTH = 100


def instant(text: Any) -> datetime:
    """An RFC 3339 instant, in UTC. Raises `ValueError` for anything else, also for a time of day
    that does not say where."""
    try:
        found = datetime.fromisoformat(text.upper())
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (AttributeError, OverflowError, TypeError, ValueError):
        pass
    raise ValueError("must be an instant with its offset from UTC, such as 2026-01-31T12:00:00Z")


def is_id(text: str) -> bool:
    """Whether something may be called so."""
    return _ID(text) is not None


def _check_id(value: str) -> str:
    if not is_id(value):
        raise ValueError(_ID_REMEDY)
    return value


_ID = re.compile(ID_PATTERN).search
_ID_REMEDY = "must be 1 to 128 letters, digits or . _ : - and begin with a letter or digit"


def _check_unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate; send valid Unicode") from None
    return value


def _check_line(value: str) -> str:
    if any(c < " " or c == "\x7f" for c in value):
        raise ValueError("contains control characters; remove them")
    return _check_unicode(value)


def _check_label(value: str) -> str:
    if "=" in value:
        raise ValueError("the name of a label contains no =; rename it")
    return _check_line(value)


def _check_text(value: str) -> str:
    if any((c < " " and c not in "\t\n\r") or c == "\x7f" for c in value):
        raise ValueError("contains control characters other than tab and line breaks; remove them")
    return _check_unicode(value)


Id = Annotated[str, Meta(pattern=ID_PATTERN), AfterValidator(_check_id)]
Line = Annotated[
    str,
    Meta(min_length=1, max_length=256, pattern=NO_CONTROL),
    Field(min_length=1, max_length=256),
    AfterValidator(_check_line),
]
Title = Annotated[
    str,
    Meta(min_length=1, max_length=500, pattern=NO_CONTROL),
    Field(min_length=1, max_length=500),
    AfterValidator(_check_line),
]
Text = Annotated[
    str,
    Meta(max_length=10_000, pattern=NO_CONTROL_BUT_LINES),
    Field(max_length=10_000),
    AfterValidator(_check_text),
]
Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="repeat a call with the same key and it is carried out once (24 h)",
    ),
    AfterValidator(_check_line),
]
LabelMap = Annotated[
    dict[
        Annotated[
            str,
            Meta(pattern=r"^[^=\x00-\x1f\x7f]{1,64}\Z"),
            Field(min_length=1, max_length=64),
            AfterValidator(_check_label),
        ],
        Annotated[str, Meta(max_length=256), Field(max_length=256), AfterValidator(_check_line)],
    ],
    Meta(max_length=50),
    Field(max_length=50, description='for filters and people, e.g. {"region": "eu"}'),
]
Instant = Annotated[AwareDatetime, BeforeValidator(instant)]
PageLimit = Annotated[int, Field(ge=1, le=200, description="how many at most")]
Filter = Annotated[str, Field(max_length=500), AfterValidator(_check_line)]
Cursor = Annotated[Filter | None, Field(description="`next_cursor` of the page before")]
Priority = Annotated[int, Meta(ge=1, le=5), Field(ge=1, le=5)]
LeaseSeconds = Annotated[int, Meta(ge=1, le=86_400), Field(ge=1, le=86_400)]
Attempt = Annotated[int, Meta(ge=1, le=2**31), Field(ge=1, le=2**31)]


class BlobReference(msgspec.Struct, frozen=True):
    """What stands in the log for bytes in the blob store: their SHA-256 as 64 hex digits, and how
    many they are. Its canonical form fits `BLOB_PATTERN`."""

    digest: str = msgspec.field(name=BLOB_KEY)
    bytes: int


def blob_reference(text: str) -> BlobReference:
    """The reference in its canonical form, read."""
    return msgspec.json.decode(text, type=BlobReference)


def json_text(value: Any, field: str) -> str | None:
    """A caller's JSON value as canonical text; None stays None.

    Raises `Rejected` for what cannot be stored and shown again everywhere: integers beyond 64
    bits, lone surrogates, nesting beyond `JSON_DEPTH`, not finite numbers.
    """
    if value is None:
        return None
    if isinstance(value, dict) and BLOB_KEY in value:
        raise Rejected("invalid_argument", f"{field}: the key {BLOB_KEY} is reserved", field=field)
    problem = _json_problem(value)
    if not problem:
        try:
            return canonical(value).decode()
        except UnicodeEncodeError:
            problem = "contains a lone surrogate; send valid Unicode"
        except (TypeError, ValueError) as error:
            problem = f"is not JSON: {error}"
    raise Rejected("invalid_argument", f"{field}: {problem}", field=field)


def _json_problem(value: Any) -> str:
    """What the encoder would let pass. Level by level: the nesting may be any, and millions of
    values should not hold up everybody else."""
    level: list[Any] = [value]
    for _ in range(JSON_DEPTH + 1):
        kinds = set(map(type, level))
        if float in kinds and not all(math.isfinite(one) for one in level if type(one) is float):
            return "holds a number that is not finite; send null or text"
        if int in kinds:
            numbers = [one for one in level if type(one) is int]
            if min(numbers) < -INT64 or max(numbers) >= INT64:
                return "holds an integer beyond 64 bits; send it as text"
        if kinds.isdisjoint(_NESTING):
            return ""
        nesting = (one for one in level if type(one) in _NESTING)
        level = [*chain.from_iterable(_members(one) for one in nesting)]
    return f"is nested more than {JSON_DEPTH} levels deep; flatten it, or send it as text"


_NESTING = frozenset({dict, list, tuple})


def _members(value: Any) -> Iterable[Any]:
    return cast("dict[Any, Any]", value).values() if type(value) is dict else value


def json_value(text: str | None) -> Any:
    """The value behind stored JSON text; a blob reference shows as `{"$blob", "bytes"}`."""
    return None if text is None else msgspec.json.decode(text)
