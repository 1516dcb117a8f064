"""Plan files: agents, tasks, their dependencies and commands, in YAML or JSON.

    title: Release
    agents: [{name: Ada, capabilities: [python]}]
    tasks:
      - {id: build, requires: [python], command: make build}
      - {id: publish, requires: [python], depends_on: [build], command: [make, publish]}

Everything that is wrong is found at once and before anything is submitted: `InvalidPlan` has a line
for each problem, with its place in the file.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from agent_orchestration.core.arguments import Arguments
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import Id, Line, Priority, Text, Title, json_text
from agent_orchestration.domain.plans.model import MAX_TASKS
from agent_orchestration.domain.tasks.arguments import DependencyArgument, RetryArgument
from agent_orchestration.domain.tasks.model import EdgePolicy
from agent_orchestration.workers.command_payload import RESERVED_PREFIX
from agent_orchestration.workers.plan_document import (
    MAX_FILE_BYTES,
    Document,
    InvalidPlan,
    Problem,
    WrittenFloat,
    WrittenInt,
    read_document,
)
from agent_orchestration.workers.plan_problems import problems_of

MAX_AGENTS = 1000
#: A plan's id, a dot and a task's id together are the id of a task on the platform.
PLAN_ID_LENGTH, TASK_ID_LENGTH = 64, 63
MAX_COMMAND_LENGTH = 100_000
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def written(value: object) -> str:
    """Text as it was written: `0755` and `1.10` too, which YAML takes for numbers."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.source
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not text; put it in quotes")
    if "\0" in value:
        raise ValueError("contains a zero character; remove it")
    return value


def _shown(value: object) -> str:
    names: dict[type, str] = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value)) or str(value).lower()


def _command(value: object) -> list[str] | str:
    if isinstance(value, list):
        words = [written(word) for word in cast("list[object]", value)]
        if not words or not words[0]:
            raise ValueError("names no program; the first item must be one")
        if sum(map(len, words)) > MAX_COMMAND_LENGTH:
            raise ValueError(f"is longer than {MAX_COMMAND_LENGTH} characters; put it in a script")
        return words
    text = written(value)
    if not text.strip():
        raise ValueError("is empty; name a program")
    if len(text) > MAX_COMMAND_LENGTH:
        raise ValueError(f"is longer than {MAX_COMMAND_LENGTH} characters; put it in a script")
    return text


def _variable(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError("cannot be the name of a variable; use A-Z, 0-9 and _")
    if name.startswith(RESERVED_PREFIX):
        raise ValueError("is set by the platform; choose another name")
    return name


def _levels(default: float, value: object) -> object:
    """A list of names as name -> level; anything else is left to the checks."""
    if not isinstance(value, list):
        return value
    names = cast("list[object]", value)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{_shown(name)} is not a name; list names, or map names to levels")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is named twice; name it once")
    return dict.fromkeys(names, default)


def _unwritten(value: Any) -> Any:
    """Plain JSON: numbers without their spelling; refused where it cannot be stored."""
    if isinstance(value, WrittenInt | WrittenFloat):
        value = int(value) if isinstance(value, WrittenInt) else float(value)
    elif isinstance(value, list):
        value = [_unwritten(one) for one in cast("list[Any]", value)]
    elif isinstance(value, dict):
        value = {key: _unwritten(one) for key, one in cast("dict[str, Any]", value).items()}
    return value


def _payload(value: Any) -> Any:
    plain = _unwritten(value)
    try:
        json_text(plain, "payload")
    except Rejected as error:
        raise ValueError(error.reason.removeprefix("payload: ")) from None
    return plain


Level = Annotated[float, Field(ge=0, le=1)]
Written = Annotated[str, PlainValidator(written, json_schema_input_type=str | int | float)]
Command = Annotated[
    list[str] | str,
    PlainValidator(_command, json_schema_input_type=str | list[str | int | float]),
]
Env = Annotated[dict[Annotated[str, AfterValidator(_variable)], Written], Field(max_length=1000)]
_Needs = Annotated[dict[Id, Level], Field(max_length=50)]
Requires = Annotated[
    _Needs, BeforeValidator(lambda v: _levels(0.0, v), json_schema_input_type=_Needs | list[Id])
]
_Levels = Annotated[dict[Id, Level], Field(min_length=1, max_length=200)]
Skills = Annotated[
    _Levels, BeforeValidator(lambda v: _levels(1.0, v), json_schema_input_type=_Levels | list[Id])
]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class PlanAgent(Arguments):
    """An agent that `run` brings along, or `count` equal ones."""

    name: Line
    capabilities: Annotated[Skills, Field(description="names, or name: level (0 to 1)")]
    count: int = Field(1, ge=1, le=MAX_AGENTS, description="how many of them")
    max_concurrency: int = Field(1, ge=1, le=100, description="commands at a time, each")


class _Work(Arguments):
    """What a task may say and `defaults` may say for all of them."""

    requires: Annotated[
        Requires | None, Field(description="capabilities: names, or name: least level")
    ] = None
    env: Annotated[Env | None, Field(description="variables of the command")] = None
    cwd: Annotated[
        Line | None, Field(description="its working directory; default: where `run` was started")
    ] = None
    timeout_seconds: Annotated[Seconds | None, Field(description="of one attempt")] = None
    retry: Annotated[
        RetryArgument | None,
        Field(description="when a failed attempt is repeated; default: never, if it was a command"),
    ] = None
    priority: Annotated[Priority | None, Field(description="1 is most urgent, 5 least")] = None


class PlanDefaults(_Work):
    """What holds for every task that says nothing else; `env` is added to a task's own."""

    on_failure: Annotated[
        EdgePolicy, Field(description="what a task does when one that it depends on fails")
    ] = "cancel"


class PlanTask(_Work):
    """A task. With a `command` it is carried out by `run`; without, by whoever claims it."""

    id: Annotated[Id, Field(max_length=TASK_ID_LENGTH, description="unique in this plan")]
    title: Title | None = None
    description: Text | None = None
    depends_on: list[DependencyArgument] = Field([], max_length=1000)
    command: Annotated[
        Command | None, Field(description="program and arguments, or a line for the shell")
    ] = None
    payload: Annotated[Any, PlainValidator(_payload), Field(description="JSON for its doer")] = None

    @model_validator(mode="after")
    def _one_kind(self) -> "PlanTask":
        if self.command is not None and self.payload is not None:
            raise ValueError("has a command and a payload; keep one of them")
        if self.command is None and (self.env or self.cwd or self.timeout_seconds):
            raise ValueError("has env, cwd or timeout_seconds, but no command they could be for")
        return self


class PlanFile(Arguments):
    """A plan: tasks with dependencies, and the agents that `run` brings along to do them."""

    id: Annotated[
        Id | None,
        Field(max_length=PLAN_ID_LENGTH, description="the same id goes on with the same plan"),
    ] = None
    title: Title
    description: Text | None = None
    agents: list[PlanAgent] = Field(
        [], max_length=100, description="none: `run` brings some that can do everything"
    )
    defaults: PlanDefaults = PlanDefaults()
    tasks: list[PlanTask] = Field(min_length=1, max_length=MAX_TASKS)


#: The key in a file -> the model of the mappings in it.
MODELS: dict[str, type[pydantic.BaseModel]] = {
    "": PlanFile,
    "agents": PlanAgent,
    "defaults": PlanDefaults,
    "tasks": PlanTask,
    "depends_on": DependencyArgument,
    "retry": RetryArgument,
}


def is_plan(file: Path) -> bool:
    """Whether a file is a plan, to tell it from a recorded workflow: by its name, else by its
    members. What cannot be read counts as a workflow, whose reader says why."""
    if file.suffix.lower() in (".yaml", ".yml"):
        return True
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return False
        value: Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "tasks" in value and "workflow" not in value


def load_plan(file: Path) -> PlanFile:
    """Read and check a plan file; raises `InvalidPlan`, which names every problem."""
    return check_plan(read_document(file))


def check_plan(document: Document) -> PlanFile:
    """The plan of a document; raises `InvalidPlan`, which names every problem."""
    plan: PlanFile | None = None
    errors: list[Any] = []
    value: Any = document.value
    tasks: Any = cast("dict[str, Any]", value).get("tasks") if isinstance(value, dict) else None
    if isinstance(tasks, list) and len(cast("list[Any]", tasks)) > MAX_TASKS:
        count = len(cast("list[Any]", tasks))
        text = f"has {count} entries; at most {MAX_TASKS} are read: split the plan"
        raise InvalidPlan(document.source, [Problem(0, "tasks", text)])
    try:
        plan = PlanFile.model_validate(value)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    problems = problems_of(document, errors, MODELS)
    if problems or plan is None:
        raise InvalidPlan(document.source, problems)
    return plan


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of plan files, for editors and other programs."""
    schema = PlanFile.model_json_schema() | {"title": "Plan"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
