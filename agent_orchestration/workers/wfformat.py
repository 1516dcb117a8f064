"""Recorded workflows in WfFormat 1.5 (the JSON schema of the WfCommons project), read and checked.

    workflow.specification.tasks[]   id, name, parents, children
    workflow.execution.tasks[]       id, runtimeInSeconds, command.program

Every error is a `Rejected("bad_workflow", …)` that names the place in the JSON document.
"""

import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.json_fields import (
    json_list,
    json_object,
    json_text,
    member,
    refuse,
    short,
)
from agent_orchestration.workers.program_names import capability_ids

SUPPORTED_VERSIONS = ("1.5",)
MAX_FILE_BYTES = 100 * 1024 * 1024
MAX_TASKS = 100_000
MAX_PARENTS = 1000
MAX_RUNTIME_SECONDS = 365 * 24 * 60 * 60
MAX_PROGRAM_LENGTH = 1_000_000

_SPECIFIED = "workflow.specification.tasks"
_EXECUTED = "workflow.execution.tasks"


class WorkflowTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task: what it ran, for how many seconds, after which others.

    `capability` is the id of the capability named by its program.
    """

    id: str
    name: str
    program: str
    capability: str
    runtime_seconds: float
    parents: tuple[str, ...]


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A directed acyclic graph of tasks, parents before their children."""

    name: str
    description: str
    tasks: tuple[WorkflowTask, ...]

    @property
    def capabilities(self) -> dict[str, str]:
        """The capability ids, in order of first use, and the program behind each."""
        return {task.capability: task.program for task in self.tasks}


class _Specified(msgspec.Struct):
    id: str
    name: str
    parents: list[str]
    children: list[str]


def load_workflow(file: Path) -> Workflow:
    """Read a workflow file; raises `Rejected` for anything that is not a valid one."""
    return parse_workflow(_read(file), str(file))


def parse_workflow(raw: bytes, source: str = "workflow") -> Workflow:
    """A workflow from the bytes of its JSON document; `source` names it in errors."""
    document = json_object(_decode(raw, source), "")
    _check_version(document)
    name = json_text(document, "name", "")
    description = document.get("description", "")
    body = json_object(member(document, "workflow", ""), "workflow")
    specification = json_object(member(body, "specification", "workflow"), "workflow.specification")
    tasks = _specified(json_list(specification, "tasks", "workflow.specification"))
    _check_edges(tasks)
    execution = json_object(member(body, "execution", "workflow"), "workflow.execution")
    executed = _executed(json_list(execution, "tasks", "workflow.execution"), tasks)
    return Workflow(
        name=name,
        description=description if isinstance(description, str) else "",
        tasks=_join(tasks, executed),
    )


def _read(file: Path) -> bytes:
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            _refuse_file(file, "is a directory; name the JSON file in it")
        if not stat.S_ISREG(status.st_mode):
            _refuse_file(file, "is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            _refuse_file(file, f"is {status.st_size} bytes; at most {MAX_FILE_BYTES} are read")
        return file.read_bytes()
    except FileNotFoundError:
        _refuse_file(file, "does not exist; check the path")
    except (OSError, ValueError) as error:
        _refuse_file(file, f"cannot be read: {error}")


def _refuse_file(file: Path, problem: str) -> NoReturn:
    shown = ascii(str(file))[1:-1]
    raise Rejected("bad_workflow", f"{shown} {problem}", file=shown)


def _decode(raw: bytes, source: str) -> Any:
    try:
        return json.loads(raw)
    except RecursionError:
        refuse("", "is nested too deeply for a workflow")
    except ValueError as error:
        refuse("", f"{ascii(source)[1:-1]} is not JSON: {error}")


def _check_version(document: dict[str, Any]) -> None:
    version = member(document, "schemaVersion", "")
    if version in SUPPORTED_VERSIONS:
        return
    problem = f"{short(version)} is not supported; {' or '.join(SUPPORTED_VERSIONS)} is"
    if version in ("1.0", "1.1", "1.2", "1.3", "1.4"):
        problem += " (older versions have another layout; the WfFormat project migrates files)"
    refuse("schemaVersion", problem)


def _specified(entries: list[Any]) -> dict[str, _Specified]:
    """The tasks of the specification by id, in the order of the file."""
    if not entries:
        refuse(_SPECIFIED, "is empty; a workflow needs at least one task")
    if len(entries) > MAX_TASKS:
        refuse(_SPECIFIED, f"has {len(entries)} tasks; at most {MAX_TASKS} are supported")
    tasks: dict[str, _Specified] = {}
    for index, value in enumerate(entries):
        path = f"{_SPECIFIED}[{index}]"
        entry = json_object(value, path)
        task_id = json_text(entry, "id", path)
        if not task_id.isprintable():
            refuse(f"{path}.id", f"{short(task_id)} contains control characters; remove them")
        if task_id in tasks:
            refuse(f"{path}.id", f"{task_id!r} is used by an earlier task; ids must be unique")
        tasks[task_id] = _Specified(
            task_id,
            json_text(entry, "name", path),
            _names(entry, "parents", path),
            _names(entry, "children", path),
        )
        if len(tasks[task_id].parents) > MAX_PARENTS:
            count = len(tasks[task_id].parents)
            refuse(f"{path}.parents", f"lists {count} tasks; at most {MAX_PARENTS} are supported")
    return tasks


def _names(entry: dict[str, Any], key: str, path: str) -> list[str]:
    names = json_list(entry, key, path)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            refuse(f"{path}.{key}[{index}]", f"{short(name)} is not a task id (text)")
    if len(set(names)) < len(names):
        twice = next(i for i, name in enumerate(names) if name in names[:i])
        refuse(f"{path}.{key}[{twice}]", f"{short(names[twice])} is listed twice")
    return names


def _check_edges(tasks: dict[str, _Specified]) -> None:
    """Every name is a task's, and both ends of every edge agree."""
    for path, _, name in _edges(tasks):
        if name not in tasks:
            refuse(path, f"unknown task {short(name)}; no task has that id")
    parents = {task_id: frozenset(task.parents) for task_id, task in tasks.items()}
    children = {task_id: frozenset(task.children) for task_id, task in tasks.items()}
    for path, task_id, name in _edges(tasks):
        other, back = (children, "children") if ".parents[" in path else (parents, "parents")
        if task_id not in other[name]:
            refuse(path, f"{short(name)} does not list {short(task_id)} in its {back}")


def _edges(tasks: dict[str, _Specified]) -> Iterator[tuple[str, str, str]]:
    """(path in the document, task, name) of every parent and child that a task lists."""
    for index, task in enumerate(tasks.values()):
        for key, names in (("parents", task.parents), ("children", task.children)):
            for place, name in enumerate(names):
                yield f"{_SPECIFIED}[{index}].{key}[{place}]", task.id, name


def _executed(entries: list[Any], tasks: dict[str, _Specified]) -> dict[str, tuple[float, str]]:
    """Task id -> (seconds, program) from the recorded execution."""
    found: dict[str, tuple[float, str]] = {}
    for index, value in enumerate(entries):
        path = f"{_EXECUTED}[{index}]"
        entry = json_object(value, path)
        task_id = json_text(entry, "id", path)
        if task_id not in tasks:
            refuse(f"{path}.id", f"unknown task {task_id!r}; {_SPECIFIED} has no such id")
        if task_id in found:
            refuse(f"{path}.id", f"{task_id!r} has an earlier entry; one per task is allowed")
        seconds = _runtime(entry, path)
        command = json_object(member(entry, "command", path), f"{path}.command")
        program = json_text(command, "program", f"{path}.command", MAX_PROGRAM_LENGTH).strip()
        found[task_id] = (seconds, program)
    if missing := next((task_id for task_id in tasks if task_id not in found), None):
        refuse(_EXECUTED, f"has no entry for task {missing!r}; a replay needs its runtime")
    return found


def _runtime(entry: dict[str, Any], path: str) -> float:
    value = member(entry, "runtimeInSeconds", path)
    path = f"{path}.runtimeInSeconds"
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(path, f"{short(value)} is not a number of seconds")
    if isinstance(value, float) and not math.isfinite(value):
        refuse(path, f"{value} is not a finite number of seconds")
    if value < 0:
        refuse(path, f"{short(value)} is negative; a runtime is 0 or more seconds")
    if value > MAX_RUNTIME_SECONDS:
        refuse(path, f"{short(value)} is more than a year ({MAX_RUNTIME_SECONDS} seconds)")
    return float(value)


def _join(
    tasks: dict[str, _Specified], executed: dict[str, tuple[float, str]]
) -> tuple[WorkflowTask, ...]:
    first_task: dict[str, str] = {}
    for task_id, (_, program) in executed.items():
        first_task.setdefault(program, tasks[task_id].name)
    capabilities = capability_ids(first_task)
    return tuple(
        WorkflowTask(
            id=task_id,
            name=tasks[task_id].name,
            program=executed[task_id][1],
            capability=capabilities[executed[task_id][1]],
            runtime_seconds=executed[task_id][0],
            parents=tuple(tasks[task_id].parents),
        )
        for task_id in _parents_first(tasks)
    )


def _parents_first(tasks: dict[str, _Specified]) -> list[str]:
    """The ids in topological order; a cycle is refused and named."""
    waiting = {task_id: len(task.parents) for task_id, task in tasks.items()}
    ordered = [task_id for task_id, count in waiting.items() if count == 0]
    for task_id in ordered:  # grows while it is read
        for child in tasks[task_id].children:
            waiting[child] -= 1
            if waiting[child] == 0:
                ordered.append(child)
    if len(ordered) < len(tasks):
        _refuse_cycle(tasks, {task_id for task_id, count in waiting.items() if count > 0})
    return ordered


def _refuse_cycle(tasks: dict[str, _Specified], stuck: set[str]) -> NoReturn:
    """Every stuck task has a stuck parent, so walking upwards meets a task twice."""
    walk: dict[str, int] = {}
    current = next(task_id for task_id in tasks if task_id in stuck)
    while current not in walk:
        walk[current] = len(walk)
        current = next(parent for parent in tasks[current].parents if parent in stuck)
    cycle = [*list(walk)[walk[current] :], current]
    shown = cycle if len(cycle) <= 12 else [*cycle[:6], f"… {len(cycle) - 7} more …", cycle[-1]]
    index = list(tasks).index(current)
    place = tasks[current].parents.index(cycle[1])
    path = f"{_SPECIFIED}[{index}].parents[{place}]"
    refuse(path, f"the tasks wait for each other: {' -> '.join(shown)} (each after the next)")
