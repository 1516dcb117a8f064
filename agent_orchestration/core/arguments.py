"""What the arguments of tools have in common."""

import json
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic


class Arguments(pydantic.BaseModel):
    """Base of a tool's arguments and of the objects inside them: nothing unknown is accepted, and
    no boolean where a number is meant."""

    model_config = pydantic.ConfigDict(extra="forbid")

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _refuse_boolean_for_number(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name is not None:
            kinds = _plain_types(cls.model_fields[info.field_name].annotation)
            if {int, float} & kinds and not {bool, Any} & kinds:
                raise ValueError("must be a number, not a boolean")
        return value


def _plain_types(hint: Any) -> set[Any]:
    """The types that a value may have, with `Annotated` and unions opened."""
    if get_origin(hint) is Annotated:
        return _plain_types(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return {kind for part in get_args(hint) for kind in _plain_types(part)}
    return {hint}


def from_json_text(value: Any) -> Any:
    """Weak models send lists and objects as JSON text; accept that."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def is_structured(hint: Any) -> bool:
    """Whether a value of that type is a list or an object, and never a text."""
    if get_origin(hint) is Annotated:
        return is_structured(get_args(hint)[0])
    if get_origin(hint) in (list, dict, tuple):
        return True
    if isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return True
    parts = get_args(hint)
    return bool(parts) and str not in parts and any(is_structured(part) for part in parts)
