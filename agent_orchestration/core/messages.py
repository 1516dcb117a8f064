"""Commands, events and outcomes: the three things that travel between the parts.

A command is an intention, an event a permanent fact. Both are immutable msgspec structs; their
canonical encoding (sorted keys) is what is hashed and stored.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

if TYPE_CHECKING:
    from agent_orchestration.core.entities import Entity

Work = Literal["begins", "goes on", "ends"]
Body = dict[str, Any]
Upcaster = Callable[[Body], Body]

canonical: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode
"""The canonical JSON of a value: sorted keys, no spaces, UTF-8."""


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who asks: an id, a role (see `core.tool.Role`) and, for the role `agent`, its agent id."""

    id: str
    role: str
    agent_id: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An intention. Subclasses are named in the imperative: `CreateTask`."""

    #: What it does to the load: the more work it brings, the earlier it is refused with `Busy`.
    #: What ends work never is.
    WORK: ClassVar[Work] = "begins"

    #: What it creates under an id made from its own where its field for it is None:
    #: (field, entity, prefix), see `CommandContext.new_id`.
    CREATES: ClassVar[tuple[str, type[Any], str] | None] = None

    def needs(self) -> "tuple[tuple[type[Entity], str], ...]":
        """The entities that the decision reads by id and that may have left memory."""
        return ()

    def created(self, command_id: str) -> "tuple[tuple[type[Entity], str], ...]":
        """What it creates under an id made from `command_id`: the decision has to find out that it
        was created already, however long ago that was."""
        if self.CREATES is None or getattr(self, self.CREATES[0]) is not None:
            return ()
        return ((self.CREATES[1], new_id(command_id, self.CREATES[2])),)


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A permanent fact. Subclasses are named in the past tense: `TaskCreated`.

    `VERSION` is the newest schema version; `UPCASTERS[n]` lifts a body of version n to n + 1.
    `SINCE_RULES[n]` says which rules brought version n; under older ones `DOWNCASTERS[n - 1]`
    lowers the body to version n - 1, which is what a program without version n writes.
    """

    #: The field with the id of the entity that the event is mainly about, None where that is the
    #: tenant. Every event has to say; whoever follows the entity in a feed gets the event.
    ABOUT: ClassVar[str | None]
    VERSION: ClassVar[int] = 1
    UPCASTERS: ClassVar[dict[int, Upcaster]] = {}
    SINCE_RULES: ClassVar[dict[int, int]] = {}
    DOWNCASTERS: ClassVar[dict[int, Upcaster]] = {}
    #: The fields that answer the caller and that the graph keeps on the event's node: plain data.
    REPLY: ClassVar[tuple[str, ...]] = ()
    #: An entity, and the field with its id: who asked first is also told how it is after the event.
    #: Nobody keeps that.
    REPLY_ENTITY: ClassVar[tuple[type[Any], str] | None] = None

    def about(self) -> str | None:
        """The id of the entity that it is mainly about; None: the tenant."""
        return None if self.ABOUT is None else getattr(self, self.ABOUT)

    def reply(self) -> Body:
        """What the caller is told, also when the command is repeated after a restart."""
        return {name: getattr(self, name) for name in self.REPLY}


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """The outcome "nothing to do": no event, and `data` is what the caller should know."""

    data: Body = msgspec.field(default_factory=dict[str, Any])


def new_id(command_id: str, prefix: str) -> str:
    """The id of what a command creates."""
    return f"{prefix}-{command_id.replace('-', '')[-12:]}"


class CommandContext(msgspec.Struct, frozen=True, gc=False):
    """What a decision may know of a command beside its body.

    `at` is the time the log stamped on the command, in milliseconds since the epoch.
    """

    id: str
    tenant: str
    at: int
    principal: Principal

    def new_id(self, prefix: str) -> str:
        """An id derived from the command's, so that deciding again gives the same one."""
        return new_id(self.id, prefix)


class EventContext(msgspec.Struct, frozen=True, gc=False):
    """What `evolve` may know of an event beside its body: its place, time and author, and the trace
    and the correlation of the call behind it, where there are any (under rules 2). No digest covers
    these two, so no decision may depend on them."""

    seq: int
    at: int
    actor: str
    traceparent: str | None = None
    correlation: str | None = None


class CommandResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The single answer to a command.

    `status` is accepted, nothing or failed; `seq` is the tenant's sequence number that a later
    read should wait for; `data` the event's reply; `error` a `PlatformError.to_dict()`;
    `lag` the commands still waiting behind this one in its partition; `copy` says which copy of
    the command was decided, from 0. `entity` is how the entity of the event's `REPLY_ENTITY` is
    after it; None where the command is repeated.
    """

    command_id: str
    tenant: str
    status: str
    seq: int = 0
    data: Body = msgspec.field(default_factory=dict[str, Any])
    error: Body | None = None
    repeated: bool = False
    lag: int = 0
    copy: int = 0
    entity: Body | None = None
