"""JSON Schemas of results: whether one is a schema, and whether a value fits it."""

from typing import Any, cast

import jsonschema
import jsonschema.exceptions
import referencing
from referencing.exceptions import Unresolvable

from agent_orchestration.core.errors import Rejected

RESULT_SCHEMA = "result_schema"
"""The member of a task's payload that says which schema its result has to fit."""
LONGEST_PROBLEM = 500
#: The library's types are incomplete.
_Validator = cast("Any", jsonschema.Draft202012Validator)
_errors = cast("Any", jsonschema.exceptions)
_new_registry = cast("Any", referencing.Registry)


def check_schema(schema: Any, where: str) -> None:
    """Raises `Rejected` where it is no JSON Schema; `where` says what is meant."""
    try:
        _Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise Rejected("bad_schema", f"{where}: {error.message}", field=RESULT_SCHEMA) from None


def misfit(value: Any, schema: Any) -> str | None:
    """Why the value does not fit the schema, None where it does. References to other documents are
    not followed: a schema may come from anybody."""
    try:
        error = _errors.best_match(_Validator(schema, registry=_new_registry()).iter_errors(value))
    except Unresolvable as unresolved:
        return f"the schema refers to what is not in it: {unresolved}"[:LONGEST_PROBLEM]
    return None if error is None else f"{error.json_path}: {error.message}"[:LONGEST_PROBLEM]
