"""What is wrong with a plan file, all of it at once: each with its place and a remedy."""

import difflib
import graphlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
import pydantic

from agent_orchestration.workers.plan_document import Document, Place, Problem, shown_path

#: Beyond so many names nobody is searched for the one that was meant.
MOST_CANDIDATES = 5000
MOST_ERRORS = 200
#: The key in a document -> the model of the mappings in it.
Models = Mapping[str, type[pydantic.BaseModel]]
Found = tuple[Place, str]


class RawTask(msgspec.Struct, frozen=True):
    """A task as far as it can be understood: its id, and (position, id) of what it waits for."""

    position: int
    id: str
    depends_on: tuple[tuple[int, str], ...]


def problems_of(document: Document, errors: Sequence[Any], models: Models) -> list[Problem]:
    """The problems of reading, those that the model found (`errors` of pydantic), and those of
    the tasks among themselves: ids named twice, unknown ids, cycles."""
    if document.value is None:
        return [*document.problems, Problem(0, "", "is empty; a plan has a title and tasks")]
    found = [_told(error, models) for error in errors[:MOST_ERRORS]]
    found += _agents(document.value)
    found += _between(raw_tasks(document.value))
    lines = document.lines([place for place, _ in found]) if found else {}
    problems = [Problem(lines.get(place, 0), shown_path(place), text) for place, text in found]
    return [*document.problems, *problems]


def raw_tasks(value: Any) -> list[RawTask]:
    """The tasks of a document that may be wrong in any way."""
    document = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    tasks: Any = document.get("tasks")
    found: list[RawTask] = []
    for position, task in enumerate(_list(tasks)):
        entry = cast("dict[str, Any]", task) if isinstance(task, dict) else {}
        task_id = entry.get("id")
        if isinstance(task_id, str):
            named = enumerate(_named(one) for one in _list(entry.get("depends_on")))
            edges = tuple((place, other) for place, other in named if other is not None)
            found.append(RawTask(position, task_id, edges))
    return found


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _named(dependency: Any) -> str | None:
    if isinstance(dependency, dict):
        dependency = cast("dict[str, Any]", dependency).get("task_id")
    return dependency if isinstance(dependency, str) else None


def _agents(value: Any) -> Iterator[Found]:
    entries = _list(cast("dict[str, Any]", value).get("agents") if isinstance(value, dict) else [])
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        name = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
        if isinstance(name, str):
            if name in seen:
                text = f"{name} is named twice; choose another name, or use count"
                yield ("agents", position, "name"), text
            seen.add(name)


def _between(tasks: list[RawTask]) -> Iterator[Found]:
    first: dict[str, int] = {}
    for task in tasks:
        other = first.setdefault(task.id, task.position)
        if other != task.position:
            text = f"{task.id} is the id of tasks[{other}] too; rename one of them"
            yield ("tasks", task.position, "id"), text
    for task in tasks:
        seen: set[str] = set()
        for place, other in task.depends_on:
            where = ("tasks", task.position, "depends_on", place)
            if other not in first:
                yield where, f"there is no task {other} in this plan{_meant(other, first)}"
            elif other in seen:
                yield where, f"{other} is named twice; name it once"
            seen.add(other)
    yield from _cycle(tasks, first)


def _cycle(tasks: list[RawTask], first: dict[str, int]) -> Iterator[Found]:
    graph = {task.id: [other for _, other in task.depends_on] for task in tasks}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        # The sorter names each task after the one that waits for it.
        cycle = cast("list[str]", error.args[1])[::-1]
        shown = cycle if len(cycle) <= 12 else [*cycle[:10], "…", cycle[-1]]
        text = f"waits for itself: {' -> '.join(shown)}; remove one of these dependencies"
        yield ("tasks", first[cycle[0]], "depends_on"), text


def _meant(name: str, candidates: Mapping[str, object]) -> str:
    if len(candidates) > MOST_CANDIDATES:
        return ""
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _told(error: Any, models: Models) -> Found:
    """A pydantic error in our words."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    match error["type"]:
        case "extra_forbidden":
            names = [str(part) for part in place[:-1] if isinstance(part, str)]
            fields = models[names[-1] if names else ""].model_fields
            known = f"; known here: {', '.join(fields)}"
            text = f"is unknown{_meant(str(place[-1]), fields) or known}"
        case "missing":
            text = "is required"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = "must be a mapping of names to values"
        case "list_type":
            text = "must be a list"
        case "too_short" if place == ("tasks",):
            text = "a plan needs at least one task"
        case "too_long":
            limits = error["ctx"]
            text = f"has {limits['actual_length']} entries; at most {limits['max_length']} are read"
        case _:
            text = str(error["msg"]).removeprefix("Value error, ")
    return place, text
