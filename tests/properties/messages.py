"""Any value of a message's type, from its declaration."""

import re
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from agent_orchestration.core.types import BLOB_PATTERN, ID_PATTERN
from agent_orchestration.domain.artifacts.model import MEDIA_PATTERN
from agent_orchestration.domain.templates.commands import NAME_PATTERN
from agent_orchestration.domain.users.model import DIGEST_PATTERN, HASH_PATTERN

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,9}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
INT64 = st.integers(-(2**63), 2**63 - 1)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
"""What JSON can hold, integers of 64 bits at most."""


def values_of(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Every value that the declaration of a message allows."""
    return _values(inspect.type_info(cls))


def _values(declared: inspect.Type) -> st.SearchStrategy[Any]:
    match declared:
        case inspect.Metadata():
            return _values(declared.type)
        case inspect.StructType():
            fields = {field.name: _values(field.type) for field in declared.fields}
            return st.builds(declared.cls, **fields)
        case inspect.UnionType():
            return st.one_of([_values(one) for one in declared.types])
        case inspect.VarTupleType():
            least, most = declared.min_length or 0, min(declared.max_length or 3, 3)
            items = _values(declared.item_type)
            return st.lists(items, min_size=least, max_size=most).map(tuple)
        case inspect.DictType():
            key, value = _values(declared.key_type), _values(declared.value_type)
            return st.dictionaries(key, value, max_size=3)
        case inspect.LiteralType():
            return st.sampled_from(declared.values)
        case _:
            return _plain(declared)


def _plain(declared: inspect.Type) -> st.SearchStrategy[Any]:
    match declared:
        case inspect.StrType():
            return _text(declared)
        case inspect.IntType():
            least = -(2**63) if declared.ge is None else declared.ge
            most = 2**63 - 1 if declared.le is None else declared.le
            return st.integers(int(least), int(most))
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return JSON
        case _:
            raise TypeError(f"no values are known for {declared}")


def _text(declared: inspect.StrType) -> st.SearchStrategy[str]:
    pattern = declared.pattern
    if pattern == ID_PATTERN:
        return IDS
    if pattern == NAME_PATTERN:
        return NAMES
    if pattern in (BLOB_PATTERN, MEDIA_PATTERN, DIGEST_PATTERN, HASH_PATTERN):
        return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
    if pattern is None:
        return TEXT
    shape = re.compile(pattern)
    return TEXT.filter(lambda text: len(text) >= (declared.min_length or 0)).filter(
        lambda text: shape.search(text) is not None
    )
