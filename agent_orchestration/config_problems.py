"""What is wrong with the settings, said in one line per problem: name, problem, what is allowed."""

import difflib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

#: Never shown: a URI may carry a password too.
SECRETS = frozenset({"password", "api_key", "token", "uri", "base_url", "jwt_secret", "public_key"})
_WHOLE = "is not a whole number"
_NUMBER = "is not a number"
_PROBLEMS: dict[str, Callable[[Any], str]] = {
    "literal_error": lambda context: f"is not allowed; use {context['expected']}",
    "int_parsing": lambda _: _WHOLE,
    "int_parsing_size": lambda _: "is too large",
    "int_from_float": lambda _: _WHOLE,
    "int_type": lambda _: _WHOLE,
    "float_parsing": lambda _: _NUMBER,
    "float_type": lambda _: _NUMBER,
    "finite_number": lambda _: "is not a finite number",
    "greater_than_equal": lambda _: "is too small",
    "greater_than": lambda _: "is too small",
    "less_than_equal": lambda _: "is too large",
    "string_type": lambda _: "is not text; put it in quotes",
    "string_too_short": lambda _: "must not be empty",
    "too_short": lambda context: f"must have at least {context['min_length']} characters",
    "model_type": lambda _: "must be a mapping of settings",
    "tuple_type": lambda _: "must be a list",
    "path_type": lambda _: "is not a path",
    "missing": lambda _: "is required",
}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    sources: Mapping[tuple[str, ...], str],
    file: Path | None,
) -> list[str]:
    """One line per problem. `sources` names the variable or option that a value came from; what
    it does not name came from `file`. Values of secrets are left out."""
    return [_line(found, model, sources, file) for found in error.errors(include_url=False)]


def _line(
    found: Any,
    model: type[BaseModel],
    sources: Mapping[tuple[str, ...], str],
    file: Path | None,
) -> str:
    location: tuple[Any, ...] = found["loc"]
    setting = ".".join(str(part) for part in location)
    name = sources.get(location, f"{setting} in {file}" if file is not None else setting)
    section = _section(model, location[:-1])
    if found["type"] == "extra_forbidden":
        return f"{name}: is unknown{_suggestion(str(location[-1]), section)}"
    say = _PROBLEMS.get(found["type"])
    problem = say(found.get("ctx", {})) if say else str(found["msg"]).removeprefix("Value error, ")
    problem += _range(section.model_fields.get(str(location[-1])))
    value = found.get("input")
    shown = isinstance(value, str | int | float) and location[-1] not in SECRETS
    return f"{name}: {value!r} {problem}" if shown else f"{name}: {problem}"


def _section(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """The model that the last part of a location belongs to."""
    for part in location:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None


def _suggestion(name: str, section: type[BaseModel]) -> str:
    names = list(section.model_fields)
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names)}"


def _range(field: FieldInfo | None) -> str:
    """`; allowed: 1 to 65535` for a number with limits."""
    limits = {
        name: limit
        for entry in (field.metadata if field else ())
        for name in ("ge", "gt", "le")
        if (limit := getattr(entry, name, None)) is not None
    }
    if "le" not in limits:
        return ""
    low = limits.get("ge", f"more than {limits.get('gt')}")
    return f"; allowed: {low} to {limits['le']}"
