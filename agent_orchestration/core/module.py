"""A domain module's registration, and the registry of all of them.

`Module` pairs things by name: the command `CreateTask` with `decide.create_task`, the event
`TaskCreated` with `evolve.task_created`. It refuses to build when one lacks the other.
"""

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from importlib.resources import files
from types import ModuleType
from typing import Annotated, Any

import msgspec

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.messages import (
    Command,
    CommandContext,
    Event,
    EventContext,
    Nothing,
    canonical,
)
from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.core.tool import NAMED_QUERY, Tool

Decide = Callable[[TenantState, Any, CommandContext], Event | Nothing]
Evolve = Callable[[TenantState, Any, EventContext], None]


#: Stands where a named question's parameter has no default.
REQUIRED = "required"
#: What a caller of a named question need not say.
DEFAULTS: dict[str, Any] = {
    "limit": 100,
    "after": 0,
    "after_id": "",
    "after_name": "",
    "available": False,
}


INSTANT = Annotated[datetime, msgspec.Meta(tz=True)]
#: What the parameters are that are not text.
TYPES: dict[str, Any] = {
    "limit": Annotated[int, msgspec.Meta(ge=1, le=1000)],
    "after": Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
    "available": bool,
    "attempt": Annotated[int, msgspec.Meta(ge=1, le=2**31)],
    "since": INSTANT,
    "until": INSTANT,
    "ids": list[str],
    "names": list[str],
    "levels": dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]],
}
_TEXT = Annotated[str, msgspec.Meta(max_length=500)]


def snake_case(name: str) -> str:
    """`TaskCreated` -> `task_created`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _own_classes(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    """The module's concrete subclasses of `base`; one that has subclasses is a base itself."""
    return [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, base) and cls.__module__ == module.__name__ and not cls.__subclasses__()
    ]


def _own_functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def _pair(classes: list[type[Any]], module: ModuleType) -> dict[type[Any], Callable[..., Any]]:
    functions = _own_functions(module)
    names = {snake_case(cls.__name__): cls for cls in classes}
    missing, extra = sorted(names.keys() - functions), sorted(functions.keys() - names)
    if missing or extra:
        raise TypeError(f"{module.__name__}: lacks {missing}, has nothing for {extra}")
    return {cls: functions[name] for name, cls in names.items()}


def _check_about(events: Iterable[type[Event]]) -> None:
    """Every event names the entity that it is mainly about."""
    for cls in events:
        if not hasattr(cls, "ABOUT"):
            remedy = "name the field with the id of its entity, or None for the tenant"
            raise TypeError(f"{cls.__name__} lacks ABOUT: {remedy}")
        if cls.ABOUT is not None and cls.__annotations__.get(cls.ABOUT) is not str:
            raise TypeError(f"{cls.__name__}.ABOUT is {cls.ABOUT!r}, which is no field with an id")


class Module:
    """What one domain module contributes.

    `feed` is the published topic of its events. `indexes` are the questions that only decisions
    ask; `evolve_indexes` those of `evolve` and of the timer, which a state that only folds has too.
    """

    def __init__(
        self,
        name: str,
        *,
        feed: str,
        model: ModuleType,
        commands: ModuleType,
        events: ModuleType,
        decide: ModuleType,
        evolve: ModuleType,
        tools: ModuleType,
        indexes: Iterable[type[StateIndex[Any]]] = (),
        evolve_indexes: Iterable[type[StateIndex[Any]]] = (),
    ) -> None:
        self.name = name
        self.feed = feed
        self.entities: list[type[Entity]] = _own_classes(model, Entity)
        self.decide: dict[type[Command], Decide] = _pair(_own_classes(commands, Command), decide)
        self.evolve: dict[type[Event], Evolve] = _pair(_own_classes(events, Event), evolve)
        _check_about(self.evolve)
        self.tools: list[Tool] = [
            t for _, t in inspect.getmembers(tools, lambda value: isinstance(value, Tool))
        ]
        self.evolve_indexes = tuple(evolve_indexes)
        self.indexes = (*indexes, *self.evolve_indexes)
        folder = str(tools.__package__)
        self.queries = parse_queries((files(folder) / "queries.cypher").read_text("utf-8"))


def parse_queries(text: str) -> dict[str, "Query"]:
    """Named statements: `// name: sentence` lines, each followed by its Cypher."""
    found: dict[str, Query] = {}
    for part in re.split(r"^// (?=[a-z_]+:)", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        name, _, sentence = head.partition(":")
        comment, statement = re.match(r"((?://.*\n)*)([\s\S]*)", body).groups()  # type: ignore[union-attr]
        more = " ".join(line.lstrip("/ ") for line in comment.splitlines())
        found[name] = Query(name, f"{sentence.strip()} {more}".strip(), statement.strip())
    return found


class Query(msgspec.Struct, frozen=True):
    """A named question: one Cypher statement and one sentence saying what it answers."""

    name: str
    sentence: str
    statement: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters and their defaults, `REQUIRED` where there is none. `tenant`, which is
        always bound, is left out."""
        names = sorted(set(re.findall(r"\$(\w+)", self.statement)) - {"tenant"})
        return {name: DEFAULTS.get(name, self._optional(name)) for name in names}

    def _optional(self, name: str) -> Any:
        return None if f"${name} IS NULL" in self.statement else REQUIRED

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A caller's parameters with the defaults; `Rejected` for unknown, missing or bad ones."""
        known = self.parameters
        if unknown := sorted(set(given) - set(known)):
            takes = ", ".join(known) or "none"
            raise _bad_parameter("unknown", f"{self.name} takes {takes}, not {unknown[0]!r}")
        values = {**known, **given}
        for name, value in values.items():
            if value is REQUIRED:
                raise _bad_parameter("missing", f"{self.name} needs {name}")
            if value is None and known[name] is None:
                continue
            try:
                values[name] = msgspec.convert(value, TYPES.get(name, _TEXT))
                canonical(values[name])
            except (msgspec.ValidationError, UnicodeEncodeError) as error:
                raise _bad_parameter("invalid", f"{name}: {error}") from None
        return values


def _bad_parameter(what: str, problem: str) -> Rejected:
    return Rejected(f"{what}_parameter", f"params: {problem}", field="params")


class Registry:
    """All modules together: what the pipeline and the servers look things up in."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = tuple(modules)
        self.commands: dict[str, type[Command]] = {}
        self.decide: dict[type[Command], Decide] = {}
        self.events: dict[str, type[Event]] = {}
        self.evolve: dict[type[Event], Evolve] = {}
        self.entities: dict[str, type[Entity]] = {}
        self.queries: dict[str, Query] = {}
        self.tools: dict[str, Tool] = {}
        self.feeds: dict[str, str] = {}
        for module in self.modules:
            self._merge(module)
        self._enumerate_queries()
        self._decoders = {n: msgspec.json.Decoder(c) for n, c in self.commands.items()}
        self._event_decoders = {n: msgspec.json.Decoder(c) for n, c in self.events.items()}

    def _merge(self, module: Module) -> None:
        self._add(self.commands, {cls.__name__: cls for cls in module.decide})
        self._add(self.events, {cls.__name__: cls for cls in module.evolve})
        self._add(self.entities, {cls.LABEL: cls for cls in module.entities})
        self._add(self.queries, module.queries)
        self._add(self.tools, {tool.name: tool for tool in module.tools})
        self.decide.update(module.decide)
        self.evolve.update(module.evolve)
        self.feeds.update({cls.__name__: module.feed for cls in module.evolve})

    def _enumerate_queries(self) -> None:
        """A tool's argument marked with `NAMED_QUERY` takes the names of the questions."""
        for tool in self.tools.values():
            for schema in tool.input_schema["properties"].values():
                if schema.pop(NAMED_QUERY, False):
                    schema["enum"] = sorted(self.queries)

    @staticmethod
    def _add(known: dict[str, Any], new: dict[str, Any]) -> None:
        if twice := sorted(known.keys() & new):
            raise TypeError(f"declared twice: {', '.join(twice)}")
        known.update(new)

    def new_state(self, tenant: str, *, decides: bool = True) -> TenantState:
        """An empty state with every module's indexes; one on which nothing is decided has only
        those that folding needs."""
        parts = [m.indexes if decides else m.evolve_indexes for m in self.modules]
        return TenantState(tenant, itertools.chain.from_iterable(parts))

    def decode_command(self, name: str, body: bytes) -> Command:
        """A command from its body; malformed bytes raise `msgspec.DecodeError`."""
        if name not in self._decoders:
            raise msgspec.ValidationError(f"unknown command type {name!r}")
        return self._decoders[name].decode(body)

    def decode_event(self, name: str, version: int, body: bytes) -> Event:
        """An event from its stored body, lifted to the present version by its upcasters.

        Raises `Corrupt` for a type or version this process does not know, or unreadable bytes.
        """
        cls = self.events.get(name)
        if cls is None or version > cls.VERSION:
            raise Corrupt("unknown_event", f"event type {name} v{version} is not known here")
        try:
            if version == cls.VERSION:
                return self._event_decoders[name].decode(body)
            lifted = msgspec.json.decode(body)
            for step in range(version, cls.VERSION):
                lifted = cls.UPCASTERS[step](lifted)
            return msgspec.convert(lifted, cls)
        except (msgspec.DecodeError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Corrupt("unreadable_event", f"event {name} v{version}: {error}") from error
