"""The smallest value that fits a JSON Schema."""

import math
from collections.abc import Mapping
from typing import Any, cast

from agent_orchestration.stand_in_model.requests import Refusal

MAX_VALUES = 10_000
_DEEPEST = 50

Schema = Mapping[str, Any]


def smallest(schema: Schema) -> Any:
    """The value: what is required and nothing more, numbers near 0, the first of alternatives.
    `pattern`, `format` and conditions are not looked at. Raises `Refusal` where the schema leads
    nowhere or asks for more than `MAX_VALUES`."""
    return _Making(schema).value(schema, 0)


class _Making:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = MAX_VALUES

    def value(self, given: Any, depth: int) -> Any:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise _invalid("what it requires is too much")
        if not isinstance(given, Mapping):  # `true` allows anything
            return None
        schema = self._resolved(cast("Schema", given), depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.value(schema[name][0], depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Schema, depth: int) -> Any:
        kind: Any = schema.get("type", "object" if "properties" in schema else None)
        kind = cast("list[Any]", kind)[0] if isinstance(kind, list) else kind
        match kind:
            case "object":
                properties: Schema = schema.get("properties", {})
                required: list[str] = schema.get("required", [])
                return {name: self.value(properties.get(name), depth + 1) for name in required}
            case "array":
                count: int = schema.get("minItems", 0)
                return [self.value(schema.get("items"), depth + 1) for _ in range(count)]
            case "string":
                length: int = schema.get("minLength", 0)
                if length > MAX_VALUES:
                    raise _invalid("what it requires is too much")
                return "x" * length
            case "boolean":
                return False
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case _:
                return None

    def _resolved(self, schema: Schema, depth: int) -> Schema:
        """The schema with what `$ref` and `allOf` add to it."""
        if depth > _DEEPEST:
            raise _invalid("its references go round in circles")
        added: list[Schema] = [*schema.get("allOf", ())]
        if isinstance(reference := schema.get("$ref"), str):
            added.append(self._target(reference))
        merged = {name: value for name, value in schema.items() if name not in {"$ref", "allOf"}}
        for one in added:
            more = self._resolved(one, depth + 1)
            properties = {**more.get("properties", {}), **merged.get("properties", {})}
            required = [*more.get("required", ()), *merged.get("required", ())]
            merged = {**more, **merged}
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return merged

    def _target(self, reference: str) -> Schema:
        target: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            target = cast("Schema", target).get(part) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            raise _invalid(f"{reference} leads nowhere")
        return cast("Schema", target)


def _number(schema: Schema, *, whole: bool) -> float:
    """The allowed number that is nearest to 0, or between limits that are excluded."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    excluded = {schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")}
    nearest = min(max(0, low), high)
    if step := schema.get("multipleOf", 1 if whole else 0):
        up = low >= 0
        nearest = (math.ceil if up else math.floor)(nearest / step) * step
        return nearest if nearest not in excluded else nearest + (step if up else -step)
    if nearest not in excluded:
        return nearest
    if math.isinf(low) or math.isinf(high):
        return nearest + (1 if nearest == low else -1)
    return (low + high) / 2


def _invalid(what: str) -> Refusal:
    return Refusal(400, f"Invalid schema for response_format: {what}.", param="response_format")
