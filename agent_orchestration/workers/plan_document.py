"""Reading the text of a plan file: YAML 1.2's plain types or JSON, and where in it everything is.

Values are mappings, lists, text, booleans, null and numbers; numbers remember how they were
written, so that `0755` or `1.10` can still be meant as text. Aliases, tags and several documents in
one file are refused, so a small file cannot become a large plan.
"""

import json
import re
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from agent_orchestration.core.errors import Rejected

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_DIGITS = 40
MAX_PROBLEMS = 50

#: Keys and positions, e.g. `("tasks", 3, "depends_on", 0)`.
Place = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,5})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class WrittenInt(int):
    """An integer, and how it was written."""

    source: str


class WrittenFloat(float):
    """A number, and how it was written."""

    source: str


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong. `line` counts from 1; 0: not known."""

    line: int
    path: str
    text: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.path}: {self.text}" if self.path else f"{place}{self.text}"


class InvalidPlan(Rejected):
    """A plan file is wrong. `details["problems"]` has one line for each: place, problem, remedy."""

    exit_code = 2

    def __init__(self, source: str, problems: Collection[Problem]) -> None:
        shown = [str(problem) for problem in sorted(problems)[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            shown.append(f"and {len(problems) - MAX_PROBLEMS} more problems")
        lines = [f"{source}: {one}".encode("utf-8", "backslashreplace").decode() for one in shown]
        super().__init__("bad_plan", "; ".join(lines[:5]), file=source, problems=lines)


class Document(msgspec.Struct, frozen=True):
    """What a file says: its value, the problems met while reading, and its text for `lines`."""

    source: str
    value: Any
    problems: tuple[Problem, ...]
    text: str

    def lines(self, paths: Collection[Place]) -> dict[Place, int]:
        """The line of each path, or of the nearest thing around it that exists."""
        wanted = {path[:end] for path in paths for end in range(len(path) + 1)}
        reader = _Reader(self.text, wanted)
        try:
            reader.read()
        except _Unreadable:  # JSON that is no YAML: then there are no lines
            return {}
        return {path: _nearest(path, reader.lines) for path in paths}


def shown_path(path: Place) -> str:
    """The path as people write it: `tasks[3].depends_on[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_document(file: Path) -> Document:
    """The file's content; raises `InvalidPlan` for what cannot be read at all."""
    source = ascii(str(file))[1:-1]
    try:
        text = _content(file).decode("utf-8-sig")
        return parse_document(text, source, as_json=file.suffix.lower() == ".json")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as UTF-8"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}"
    except _Unreadable as error:
        raise InvalidPlan(source, [error.problem]) from None
    raise InvalidPlan(source, [Problem(0, "", problem)])


def parse_document(text: str, source: str, *, as_json: bool) -> Document:
    """The document of a text; `_Unreadable` where it has no meaning at all."""
    if as_json:
        return _from_json(text, source)
    reader = _Reader(text)
    return Document(source, reader.read(), tuple(reader.problems), text)


class _Unreadable(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, "", text)


def _content(file: Path) -> bytes:
    try:
        status = file.stat()
    except FileNotFoundError:
        raise _Unreadable(0, "does not exist; check the path") from None
    if not stat.S_ISREG(status.st_mode):
        raise _Unreadable(0, "is not a regular file; name a plan in YAML or JSON")
    if status.st_size > MAX_FILE_BYTES:
        limit = f"at most {MAX_FILE_BYTES} are read"
        raise _Unreadable(0, f"is {status.st_size} bytes long; {limit}")
    return file.read_bytes()


def _from_json(text: str, source: str) -> Document:
    repeated: list[str] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) < len(pairs):
            repeated.extend({key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1})
        return built

    try:
        value = json.loads(
            text,
            object_pairs_hook=build,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise _Unreadable(error.lineno, f"is not JSON: {error.msg}") from None
    except RecursionError:
        raise _Unreadable(0, f"is nested more than {MAX_DEPTH} levels deep") from None
    spaced = text.replace("\t", " ")  # YAML, which finds the lines, has no tabs
    problems = tuple(_twice(spaced, key) for key in sorted(repeated))
    return Document(source, value, problems, spaced)


def _twice(text: str, key: str) -> Problem:
    reader = _Reader(text)
    try:
        reader.read()
    except _Unreadable:
        reader.problems.clear()
    named = (problem for problem in reader.problems if problem.path.endswith(key))
    return next(named, Problem(0, key, "is given twice; keep one"))


def _refuse_constant(name: str) -> Any:
    raise _Unreadable(0, f"{name} is not a JSON number; use null or text")


def _number(text: str) -> Any:
    """The number with its spelling; None where the text is none."""
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise _Unreadable(0, f"a number of more than {MAX_DIGITS} digits; put it in quotes")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number: WrittenInt | WrittenFloat = WrittenInt(int(text, base))
    elif _FLOAT.fullmatch(text):
        number = WrittenFloat(float(text))
    else:
        return None
    number.source = text
    return number


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789" and (number := _number(text)) is not None:
        return number
    return text


def _nearest(path: Place, found: dict[Place, int]) -> int:
    return next((found[path[:end]] for end in range(len(path), -1, -1) if path[:end] in found), 0)


class _Reader:
    """Builds the value from the parser's events, and notes the `lines` of `wanted` places."""

    def __init__(self, text: str, wanted: Collection[Place] = ()) -> None:
        self._text = text
        self._events = yaml.parse(text, Loader=_LOADER)
        self._wanted = wanted
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []

    def read(self) -> Any:
        """The value of the only document; None for an empty one."""
        try:
            value: Any = None
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    value = self._value(next(self._events), ())
                    break
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    raise _Unreadable(_line(event), "begins a second document; keep one a file")
        except yaml.MarkedYAMLError as error:
            raise _Unreadable(*_explained(error, self._text)) from None
        except yaml.YAMLError as error:
            raise _Unreadable(0, f"is not YAML: {' '.join(str(error).split())}") from None
        return value

    def _value(self, event: yaml.Event, path: Place) -> Any:
        if path in self._wanted:
            self.lines.setdefault(path, _line(event))
        if len(path) > MAX_DEPTH:
            raise _Unreadable(_line(event), f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            remedy = "aliases are not read; write it out, or use `defaults`"
            raise _Unreadable(_line(event), f"*{event.anchor}: {remedy}")
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise _Unreadable(_line(event), f"{tag}: tags are not read; remove it")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(event, (*path, len(items))))
            return items
        assert isinstance(event, yaml.ScalarEvent)
        try:
            return _plain(event.value) if event.implicit[0] else event.value
        except _Unreadable as error:
            raise _Unreadable(_line(event), error.problem.text) from None

    def _mapping(self, path: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise _Unreadable(_line(key), "a key must be text")
            inner = (*path, key.value)
            if inner in self._wanted:
                self.lines.setdefault(inner, _line(key))
            if key.value in built:
                twice = Problem(_line(key), shown_path(inner), "is given twice; keep one")
                self.problems.append(twice)
            built[key.value] = self._value(next(self._events), inner)
        return built


#: The parser in C is ten times faster; it is missing where PyYAML was built without libyaml.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _line(event: yaml.Event) -> int:
    return cast("yaml.Mark", event.start_mark).line + 1


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    problem = " ".join(filter(None, (error.context, error.problem))) or "cannot be understood"
    if mark is None:
        return 0, f"is not YAML: {problem}"
    lines = text.splitlines()
    around = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in around[: mark.column + 1]:
        problem = "a tab stands where YAML wants spaces; indent with spaces"
    return mark.line + 1, f"is not YAML: {problem}"
