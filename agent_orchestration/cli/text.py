"""Text on its way to a terminal or a pipe.

What agents and tasks say is written by others: control characters in it must not reach a terminal.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PIPE_WIDTH = 200


def plain(value: object) -> str:
    """The value as text without control characters, save tabs and line breaks."""
    return _CONTROL.sub(
        "\N{REPLACEMENT CHARACTER}", value if isinstance(value, str) else str(value)
    )


def json_line(value: Any) -> str:
    """The value as one line of JSON that the output's encoding can hold."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return json.dumps(value, ensure_ascii=encoding != "utf8")


def print_json(value: Any) -> None:
    """One line of JSON for a program, flushed so that a reader of a pipe sees it at once."""
    print(json_line(value), flush=True)


def console(*, stderr: bool = False) -> "Console":
    """Standard output (or error) for tables and colours; wide where it is no terminal."""
    from rich.console import Console  # noqa: PLC0415 (start-up time)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def cell(value: Any) -> str:
    """A value for a table: lists joined, times to the second, objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value)):
        return plain(", ".join(cast("list[str]", value)))
    if isinstance(value, list | dict):
        return plain(json.dumps(value, ensure_ascii=False))
    return plain(_short_time(value)) if isinstance(value, str) else plain(value)


def _short_time(text: str) -> str:
    """An ISO 8601 moment in local time to the second; other text as it is."""
    if len(text) < 20 or text[10:11] != "T":
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{found.astimezone():%Y-%m-%d %H:%M:%S}"


def moment(milliseconds: int) -> str:
    """Milliseconds since the epoch as an ISO 8601 moment, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def print_rows(rows: list[dict[str, Any]], columns: list[str] | None = None) -> None:
    """Rows as a table. `columns` chooses and orders; by default those that any row has."""
    names = columns or list({name: None for row in rows for name in row})
    table = _table(names)
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in names))
    console().print(table)


def print_answer(answer: dict[str, Any], indent: str = "") -> None:
    """A tool's answer for a person: names and values, lists of objects as tables."""
    width = max((len(name) for name in answer), default=0)
    for name, value in answer.items():
        rows = cast("list[Any]", value) if isinstance(value, list) else []
        if isinstance(value, dict) and value:
            console().print(f"{indent}{plain(name)}")
            print_answer(cast("dict[str, Any]", value), indent + "  ")
        elif rows and all(isinstance(row, dict) for row in rows):
            console().print(f"{indent}{plain(name)}")
            print_rows(cast("list[dict[str, Any]]", rows))
        elif value not in (None, [], {}):
            console().print(f"{indent}{plain(name):{width}}  {cell(value)}")


def _table(names: list[str]) -> "Table":
    from rich import box  # noqa: PLC0415 (start-up time)
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(plain(name), overflow="fold")
    return table
