"""Types shared by commands and tools. Each carries its limits for msgspec and for pydantic."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pydantic import AfterValidator, Field

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import canonical

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
NO_CONTROL_BUT_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
BLOB_KEY = "$blob"
BLOB_THRESHOLD = 64 * 1024
REQUEST_LIMIT = 10 * 1024 * 1024


def _check_id(value: str) -> str:
    if len(value) > 128 or not value or not value.isascii() or not value[0].isalnum():
        raise ValueError(_ID_REMEDY)
    if not all(c.isalnum() or c in "._:-" for c in value):
        raise ValueError(_ID_REMEDY)
    return value


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
        Annotated[str, Meta(pattern=r"^[^=\x00-\x1f]{1,64}$"), Field(min_length=1, max_length=64)],
        Annotated[str, Meta(max_length=256), Field(max_length=256), AfterValidator(_check_line)],
    ],
    Meta(max_length=50),
    Field(max_length=50, description='for filters and people, e.g. {"region": "eu"}'),
]
PageLimit = Annotated[int, Field(ge=1, le=200, description="how many at most")]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the page before")]
Priority = Annotated[int, Meta(ge=1, le=5), Field(ge=1, le=5)]
LeaseSeconds = Annotated[int, Meta(ge=1, le=86_400), Field(ge=1, le=86_400)]
Attempt = Annotated[int, Meta(ge=1, le=2**31), Field(ge=1, le=2**31)]


def json_text(value: Any, field: str) -> str | None:
    """A caller's JSON value as canonical text; None stays None.

    Raises `Rejected` for what JSON in a graph cannot hold: integers beyond 64 bits, lone
    surrogates, nesting too deep, not finite numbers.
    """
    if value is None:
        return None
    if isinstance(value, dict) and BLOB_KEY in value:
        raise Rejected("invalid_argument", f"{field}: the key {BLOB_KEY} is reserved", field=field)
    try:
        text = canonical(value).decode()
        msgspec.json.decode(text)
    except OverflowError:
        problem = "holds an integer beyond 64 bits; send it as text"
    except UnicodeEncodeError:
        problem = "contains a lone surrogate; send valid Unicode"
    except RecursionError:
        problem = "is nested too deeply"
    except (TypeError, ValueError) as error:
        problem = f"is not JSON: {error}"
    else:
        return text
    raise Rejected("invalid_argument", f"{field}: {problem}", field=field)


def json_value(text: str | None) -> Any:
    """The value behind stored JSON text; a blob reference shows as `{"$blob", "bytes"}`."""
    return None if text is None else msgspec.json.decode(text)
