"""Tools: typed functions that build a command or ask a named question.

A tool knows no framework. The servers and the command line are built from its name, role,
toolsets, annotations and the types of its arguments; validation is the same for all of them.
"""

import enum
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol, get_type_hints

import pydantic

from agent_orchestration.core.analytics import WindowSize
from agent_orchestration.core.arguments import Arguments, from_json_text, is_structured
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import Command, CommandResult, Principal
from agent_orchestration.core.torn_reads import read_whole


class Role(enum.StrEnum):
    """Who may call a tool. Each of the first four includes those after it; `agent` is a worker."""

    ADMIN = "admin"
    OPERATOR = "operator"
    ANALYST = "analyst"
    VIEWER = "viewer"
    AGENT = "agent"


INHERITED: dict[Role, frozenset[Role]] = {
    Role.ADMIN: frozenset(Role),
    Role.OPERATOR: frozenset({Role.OPERATOR, Role.ANALYST, Role.VIEWER, Role.AGENT}),
    Role.ANALYST: frozenset({Role.ANALYST, Role.VIEWER}),
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.AGENT: frozenset({Role.AGENT, Role.VIEWER}),
}

#: The most powerful first: who has several is the first of them.
LADDER = (Role.ADMIN, Role.OPERATOR, Role.AGENT, Role.ANALYST, Role.VIEWER)

#: Marks, in an argument's JSON Schema, that it takes the name of a named question.
NAMED_QUERY = "x-named-query"
TOOLSETS = ("orchestrate", "worker", "converse", "inspect", "admin", "accounts")


class Rows(list[dict[str, Any]]):
    """The rows of an answer, and how fresh they are.

    `stale` is true where the graph had not reached the asked `seq` in time; `seq` is its own.
    """

    stale: bool = False
    seq: int = 0


class Gateway(Protocol):
    """What a tool may do: submit a command, ask a question. Bound to one caller."""

    tenant: str
    principal: Principal

    async def submit(self, command: Command, *, key: str | None = None) -> CommandResult:
        """The command's outcome; raises a `PlatformError` unless accepted or nothing to do."""
        ...

    async def submit_waiting(
        self, command: Command, *, agent_id: str, seconds: float, key: str | None = None
    ) -> CommandResult:
        """Like `submit`; while there is nothing to do, waits for work that this agent can do."""
        ...

    async def ask(
        self, name: str, *, at_least: int = 0, patience: float | None = None, **parameters: Any
    ) -> Rows:
        """The rows of a named question, at a graph that has reached `at_least` if it does so
        within `patience` seconds (None: ten)."""
        ...

    async def ask_named(self, name: str, parameters: Mapping[str, Any]) -> Rows:
        """Like `ask` for a caller's choice of name: `Rejected` says what is unknown or missing."""
        ...

    async def reached(self, seq: int) -> bool:
        """Wait at most ten seconds until the graph has that event; whether it does."""
        ...

    def promise(self, seq: int) -> None:
        """The caller hears of that event without waiting for the graph: questions that this
        process is asked from now on do."""
        ...

    async def changed(self, after: int, seconds: float) -> float:
        """Wait at most `seconds` until the graph is beyond `after`; the seconds that are left."""
        ...

    async def read_cypher(
        self, query: str, parameters: Mapping[str, Any], at: int | datetime | None = None
    ) -> Rows:
        """Rows of a caller's own read-only Cypher, of the graph as it is or as it was: at a time,
        or after the event with that `seq`. `Rejected` where it is not allowed, `NotFound` for an
        event that there is not."""
        ...

    async def keep_blob(self, data: bytes) -> str:
        """Keep bytes beside the log; the reference by which a command names them."""
        ...

    async def read_blob(self, digest: str) -> bytes:
        """A field that was too large for the log; `NotFound` where there is none."""
        ...

    async def hash_password(self, user_id: str, password: str, key: str | None) -> str:
        """What is kept of a password; `Rejected` where there are no local accounts."""
        ...

    async def common_rules(self) -> int:
        """The newest version of the rules that every process knows that may decide."""
        ...

    async def windows(
        self, size: WindowSize, since: int | None, until: int | None, capability: str | None
    ) -> dict[str, Any]:
        """What was counted of the tenant; see `core.analytics.Analytics`."""
        ...

    def circuit_breakers(self) -> list[dict[str, Any]]:
        """This process's circuit breakers: `name`, `state`, `failures`, `since`, `tries_again`."""
        ...

    def describe(self) -> dict[str, Any]:
        """The graph's schema and the named questions, from the declarations."""
        ...


class Output(pydantic.BaseModel):
    """Base of what tools answer. `stale` says that the graph had not caught up in time."""

    model_config = pydantic.ConfigDict(extra="forbid")
    stale: bool | None = pydantic.Field(
        default=None, description="true where the graph had not caught up with this answer in time"
    )


class Tool:
    """A tool of the registry: its function and everything that is declared about it."""

    def __init__(
        self,
        function: Callable[..., Awaitable[Output]],
        *,
        title: str,
        role: Role,
        toolsets: tuple[str, ...],
        read_only: bool,
        destructive: bool,
    ) -> None:
        if unknown := set(toolsets) - set(TOOLSETS):
            raise TypeError(f"unknown toolsets {unknown}")
        # One that only reads may be run as often as it takes.
        self.function = read_whole(function) if read_only else function
        self.name = function.__name__
        self.title = title
        self.description = inspect.cleandoc(function.__doc__ or "")
        self.role = role
        self.toolsets = toolsets
        self.read_only = read_only
        self.destructive = destructive
        hints = get_type_hints(function, include_extras=True)
        self.output: type[Output] = hints.pop("return")
        self.takes_key = "idempotency_key" in hints
        self.arguments = self._arguments_model(hints)

    def _arguments_model(self, hints: dict[str, Any]) -> type[pydantic.BaseModel]:
        fields: dict[str, Any] = {}
        for name, parameter in list(inspect.signature(self.function).parameters.items())[1:]:
            hint = hints[name]
            if is_structured(hint):
                hint = Annotated[hint, pydantic.BeforeValidator(from_json_text)]
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hint, default)
        return pydantic.create_model(
            f"{self.name}_arguments",
            __base__=Arguments,
            __cls_kwargs__={"title": self.title},
            **fields,
        )

    @functools.cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return self.arguments.model_json_schema()

    @functools.cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the answer."""
        return self.output.model_json_schema(mode="serialization")

    def allows(self, role: str) -> bool:
        """Whether a principal of that role may call the tool."""
        return self.role in INHERITED[Role(role)]

    async def call(self, gateway: Gateway, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Validate, run, and answer as plain data; bad arguments raise `Rejected`."""
        parsed = self.parse(arguments)
        values = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        answer = await self.function(gateway, **values)
        return answer.model_dump(mode="json", exclude_none=True)

    def parse(self, arguments: Mapping[str, Any]) -> pydantic.BaseModel:
        """The arguments, checked; the error names the first bad field and the remedy."""
        try:
            return self.arguments.model_validate(dict(arguments))
        except pydantic.ValidationError as error:
            raise self._explain(error) from None
        except (RecursionError, UnicodeError) as error:
            raise Rejected("invalid_argument", f"{self.name}: {error}") from None

    def _explain(self, error: pydantic.ValidationError) -> Rejected:
        problems = [
            {"field": ".".join(str(part) for part in found["loc"]), "problem": _remedy(self, found)}
            for found in error.errors(include_url=False, include_input=False)[:5]
        ]
        first = problems[0]
        reason = f"{first['field'] or 'arguments'}: {first['problem']}"
        return Rejected("invalid_argument", reason, field=first["field"], problems=problems)


def _remedy(tool: Tool, found: Any) -> str:
    match found["type"]:
        case "extra_forbidden" if len(found["loc"]) == 1:
            return f"unknown argument; {tool.name} takes {', '.join(tool.arguments.model_fields)}"
        case "extra_forbidden":
            return "is unknown there; remove it"
        case "missing":
            return "is required"
        case "string_unicode":
            return "contains a lone surrogate; send valid Unicode"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be an object"
        case "list_type":
            return "must be a list"
        case _:
            return str(found["msg"]).removeprefix("Value error, ")


def tool(
    *,
    title: str,
    role: Role,
    toolsets: tuple[str, ...],
    read_only: bool = False,
    destructive: bool = False,
) -> Callable[[Callable[..., Awaitable[Any]]], Tool]:
    """Declare a tool. The docstring is what a model reads; the first parameter is the gateway."""

    def declare(function: Callable[..., Awaitable[Any]]) -> Tool:
        return Tool(
            function,
            title=title,
            role=role,
            toolsets=toolsets,
            read_only=read_only,
            destructive=destructive,
        )

    return declare
