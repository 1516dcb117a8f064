"""Help for one tool, from its declaration."""

import json
import shlex
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from agent_orchestration.core.tool import Tool

_SAMPLES = {
    "title": "Write the report",
    "query": "MATCH (t:Task) RETURN t.id AS id LIMIT 5",
    "capability": "python",
    "error": "the disk is full",
    "password": "correct horse battery",
}
#: The first of several choices need not be the one that works by itself.
_CHOSEN = frozenset({"tasks_by_status"})
Schema = dict[str, Any]


def tool_help(tool: "Tool") -> str:
    """What the tool is for, its arguments, and a call that its checks accept."""
    definitions: Schema = tool.input_schema.get("$defs", {})
    properties: dict[str, Schema] = tool.input_schema.get("properties", {})
    required = set(cast("list[str]", tool.input_schema.get("required", [])))
    width = max((len(name) for name in properties), default=0)
    kinds = {name: _kind(schema, definitions) for name, schema in properties.items()}
    kind_width = max((len(kind) for kind in kinds.values()), default=0)
    lines = [f"{tool.name}: {tool.title}", "", tool.description, ""]
    if properties:
        lines.append("Arguments:")
    for name, schema in properties.items():
        notes = [schema.get("description", ""), _default(name, schema, required)]
        text = "; ".join(note for note in notes if note)
        lines.append(f"  {name:{width}}  {kinds[name]:{kind_width}}  {text}".rstrip())
    lines += ["", f"Example: {example(tool)}"]
    return "\n".join(lines)


def example(tool: "Tool") -> str:
    """A command line with sample values for what is required."""
    words = [f"{name}={_word(value)}" for name, value in sample_arguments(tool).items()]
    return shlex.join(["agent-orchestration", "call", tool.name, *words])


def sample_arguments(tool: "Tool") -> dict[str, Any]:
    """A value for each required argument."""
    properties: dict[str, Schema] = tool.input_schema.get("properties", {})
    definitions: Schema = tool.input_schema.get("$defs", {})
    required = cast("list[str]", tool.input_schema.get("required", []))
    return {name: _sample(name, properties[name], definitions) for name in required}


def takes_text(schema: Schema) -> bool:
    """Whether an argument is text, so that what is written for it is not read as JSON."""
    options = cast("list[Schema]", schema.get("anyOf", [schema]))
    types = {str(option.get("type", "")) for option in options}
    enumerated = any("enum" in option or "const" in option for option in options)
    return (types <= {"string", "null"} and "string" in types) or (
        enumerated and not types & {"integer", "number"}
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _default(name: str, schema: Schema, required: set[str]) -> str:
    if name in required:
        return "required"
    default = schema.get("default")
    return f"default {_word(default)}" if default not in (None, "", []) else ""


def _kind(schema: Schema, definitions: Schema) -> str:
    if "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    if options := cast("list[Schema] | None", schema.get("anyOf")):
        kinds = [_kind(option, definitions) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return "|".join(str(one) for one in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "JSON"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), definitions)}"
    return {"string": "text", "object": "object"}.get(kind, kind)


def _sample(name: str, schema: Schema, definitions: Schema) -> Any:
    if "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    if "anyOf" in schema:
        return _sample(name, schema["anyOf"][0], definitions)
    if "enum" in schema:
        return next((one for one in schema["enum"] if one in _CHOSEN), schema["enum"][0])
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case "array":
            return [_sample(name.removesuffix("s"), schema.get("items", {}), definitions)]
        case "object":
            needed = cast("list[str]", schema.get("required", []))
            return {one: _sample(one, schema["properties"][one], definitions) for one in needed}
        case _:
            return _SAMPLES.get(name, f"{name.removesuffix('_id')}-1")
