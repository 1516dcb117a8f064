"""Functions called with JSON data: what goes in and comes out is checked against their types."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
from pydantic_core import PydanticSerializationError

PAYLOAD = "payload"
"""The parameter that is given all of the data; others are given its members, by name."""


class Misfit(ValueError):
    """The data does not fit; the message names what is wrong with each member."""


class Signature:
    """The parameters and the result of a function that is called `name`.

    `given` maps types to what a parameter annotated with such a type means: it takes none of the
    data; `given_name` is that parameter. Raises `TypeError` for a function that cannot be called
    by name.
    """

    def __init__(self, function: Callable[..., Any], name: str, given: type | None = None) -> None:
        self.name = name
        self.is_async = inspect.iscoroutinefunction(function)
        hints = typing.get_type_hints(function, include_extras=True)
        self._output = pydantic.TypeAdapter[Any](hints.pop("return", Any))
        self.given_name = next((one for one, hint in hints.items() if hint is given), None)
        parameters = dict(inspect.signature(function).parameters)
        if self.given_name is not None:
            del parameters[self.given_name]
        self._names, self._input = self._read_parameters(parameters, hints)

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the data."""
        schema = self._input.model_json_schema()
        return schema["properties"][PAYLOAD] if self._takes_all else schema

    def arguments(self, data: Any) -> dict[str, Any]:
        """The function's arguments; null is no data. Raises `Misfit`."""
        given = {PAYLOAD: data} if self._takes_all and data is not None else data
        try:
            found = self._input.model_validate({} if given is None else given)
        except pydantic.ValidationError as error:
            raise Misfit(_problems(error)) from error
        return {name: getattr(found, field) for field, name in self._names.items()}

    def result(self, value: Any) -> Any:
        """What the function returned, as JSON data. Raises `Misfit`."""
        try:
            return self._output.dump_python(self._output.validate_python(value), mode="json")
        except pydantic.ValidationError as error:
            raise Misfit(_problems(error)) from error
        except PydanticSerializationError as error:
            raise Misfit(str(error)) from error

    @property
    def _takes_all(self) -> bool:
        return PAYLOAD in self._names.values()

    def _read_parameters(
        self, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
    ) -> tuple[dict[str, str], type[pydantic.BaseModel]]:
        """The names of parameters by the field that reads each, and the model of all fields.
        Parameters may be called what fields of a model may not."""
        if PAYLOAD in parameters and len(parameters) > 1:
            others = ", ".join(name for name in parameters if name != PAYLOAD)
            raise TypeError(f"{self.name}: {PAYLOAD} is all there is; leave out {others}")
        fields: dict[str, Any] = {}
        names: dict[str, str] = {}
        for number, (name, one) in enumerate(parameters.items()):
            if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                raise TypeError(f"{self.name}: {one} cannot be given by name; name each parameter")
            default = ... if one.default is one.empty else one.default
            names[f"field_{number}"] = name
            info = pydantic.Field(default, alias=name, validate_default=False)
            fields[f"field_{number}"] = (hints.get(name, Any), info)
        strict = pydantic.ConfigDict(extra="forbid")
        return names, pydantic.create_model("Payload", __config__=strict, **fields)


def _problems(error: pydantic.ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found)
