"""`call TOOL key=value …`: every tool of the registry as a command."""

import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, ask, settings
from agent_orchestration.cli.text import plain, print_answer, print_json, print_rows
from agent_orchestration.cli.tool_help import takes_text, tool_help

if TYPE_CHECKING:
    from agent_orchestration.core.tool import Tool

#: A file or standard input larger than this is larger than any request may be.
INPUT_LIMIT = 16 * 1024 * 1024


def add_to(program: typer.Typer) -> None:
    """Register the verb. Its `--help` is its own: after a tool's name it explains that tool."""
    program.command(context_settings={"help_option_names": []})(call)


def _complete(incomplete: str) -> list[str]:
    return [name for name in _tools() if name.startswith(incomplete)]


def call(
    context: typer.Context,
    tool: Annotated[
        str | None,
        typer.Argument(metavar="TOOL", help="The tool; none lists them.", autocompletion=_complete),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]… [-]",
            help="Its arguments. Values are JSON where the tool expects no text; KEY=@FILE reads"
            " a file, KEY=@@TEXT begins with one @; - reads a JSON object from standard input.",
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
    show_help: Annotated[
        bool, typer.Option("--help", "-h", help="After a tool's name: what it takes.")
    ] = False,
) -> None:
    """Call a tool.

    Example: agent-orchestration call create_task title="Write it" priority=1
    """
    if tool is None and show_help:
        print(context.get_help())
    elif tool is None:
        _list_tools(as_json)
    elif show_help:
        print(tool_help(_find(tool)))
    else:
        loaded = settings(config, data)
        found = _find(tool)
        values = parse_arguments(found, arguments or [])
        found.parse(values)  # what is wrong with it is said without touching the data folder
        answer = ask(loaded, found.name, values)
        (print_json if as_json else print_answer)(answer)


def parse_arguments(tool: "Tool", given: list[str]) -> dict[str, Any]:
    """`key=value` words (and `-`) as the tool's arguments. Raises `BadParameter`."""
    values: dict[str, Any] = {}
    properties = cast("dict[str, Any]", tool.input_schema.get("properties", {}))
    for word in given:
        if word == "-":
            values |= _standard_input()
            continue
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{plain(word)!r} is not KEY=VALUE", param_hint=tool.name)
        if name not in properties:
            raise typer.BadParameter(
                f"{tool.name} takes no {plain(name)!r}{_close(name, list(properties))}",
                param_hint=tool.name,
            )
        values[name] = value_of(text, properties[name])
    return values


def value_of(text: str, schema: dict[str, Any]) -> Any:
    """A word as the value that the schema asks for: text as it is, otherwise JSON if it is."""
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        text = _file(Path(text[1:]))
    if takes_text(schema):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # the tool's own check says what it expects


def _file(path: Path) -> str:
    try:
        if path.stat().st_size > INPUT_LIMIT:
            raise typer.BadParameter(f"{path} is larger than {INPUT_LIMIT} bytes")
        return path.expanduser().read_text("utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{path}: is not UTF-8 text") from None


def _standard_input() -> dict[str, Any]:
    try:
        value: object = json.loads(sys.stdin.buffer.read(INPUT_LIMIT))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"standard input is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("standard input is not a JSON object")
    return cast("dict[str, Any]", value)


def _tools() -> dict[str, "Tool"]:
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)

    return REGISTRY.tools


def _find(name: str) -> "Tool":
    tools = _tools()
    if name not in tools:
        raise typer.BadParameter(
            f"no tool is called {plain(name)!r}{_close(name, list(tools))}", param_hint="TOOL"
        )
    return tools[name]


def _close(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(known))}"


def _list_tools(as_json: bool) -> None:
    rows = [
        {
            "tool": tool.name,
            "role": tool.role.value,
            "toolsets": list(tool.toolsets),
            "what it does": tool.title,
        }
        for tool in _tools().values()
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
