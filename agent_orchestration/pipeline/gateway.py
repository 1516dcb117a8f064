"""What tools are given: commands and questions, bound to one caller."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from agent_orchestration import measures
from agent_orchestration.backends.graph import Graph, load_statements
from agent_orchestration.backends.graph.read_errors import TooSlow
from agent_orchestration.core.analytics import Analytics, WindowsAsked, WindowSize
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import entity_id, node_id, shape_of
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.core.messages import Command, CommandResult
from agent_orchestration.core.module import Registry
from agent_orchestration.core.tool import Rows
from agent_orchestration.passwords import Passwords
from agent_orchestration.pipeline.command_bus import CommandBus
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.schema_nodes import EVENT_NODE, TENANT_NODE
from agent_orchestration.resilience import BREAKERS

CATCH_UP_SECONDS = 10.0
QUERY_SECONDS = 10.0
PROMISE_SECONDS = 2.0
"""How long a question waits for events that it did not name."""
LOOK_SECONDS = 1.0
"""How often a process that waits for what others fold looks at the graph."""
CaughtUp = Callable[[str, float], Awaitable[bool]]
ReadCypher = Callable[[str, Mapping[str, Any], str, int | datetime | None], Awaitable[Rows]]


class CallerGateway:
    """The gateway of one caller. Ids are bare on this side and node ids in the graph: parameters
    and columns named `id`, `…_id`, `ids` or `…_ids` are translated."""

    def __init__(  # noqa: PLR0913 (one for each thing that tools may do)
        self,
        caller: Caller,
        *,
        bus: CommandBus,
        graph: Graph,
        passwords: Passwords,
        registry: Registry,
        progress: Progress,
        read_cypher: ReadCypher,
        caught_up: CaughtUp,
        owns: Callable[[str], bool],
        common_rules: Callable[[], Awaitable[int]],
        analytics: Analytics,
    ) -> None:
        self.tenant = caller.tenant
        self.principal = caller.principal
        self._caller = caller
        self._bus = bus
        self._graph = graph
        self._passwords = passwords
        self._registry = registry
        self._progress = progress
        self._read_cypher = read_cypher
        self._caught_up = caught_up
        self._owns = owns
        self._common_rules = common_rules
        self._analytics = analytics

    async def submit(self, command: Command, *, key: str | None = None) -> CommandResult:
        """See `core.tool.Gateway`."""
        return await self._bus.submit(command, self._caller, key=key)

    async def submit_waiting(
        self, command: Command, *, agent_id: str, seconds: float, key: str | None = None
    ) -> CommandResult:
        """See `core.tool.Gateway`."""
        return await self._bus.submit_waiting(
            command, self._caller, agent_id=agent_id, seconds=seconds, key=key
        )

    async def ask(
        self,
        name: str,
        *,
        at_least: int = 0,
        patience: float | None = None,
        **parameters: Any,
    ) -> Rows:
        """See `core.tool.Gateway`."""
        bound = {name: self._translate(name, value, node_id) for name, value in parameters.items()}
        try:
            with self._bus.reading(self.tenant) if at_least else contextlib.nullcontext():
                reached = await self._reached(at_least, patience)
                seq = await self._seq(at_least)
                with measures.QUERY_SECONDS.timed(name):
                    found = await self._graph.query(
                        self._registry.queries[name].statement,
                        {**bound, "tenant": self.tenant},
                        seconds=QUERY_SECONDS,
                    )
        except TooSlow as error:
            if not at_least:
                raise
            # Of what was accepted nobody may hear that it was refused.
            raise _unread(at_least, "the graph did not answer in time") from error
        # A reader waits for the writer: by now the graph may be there.
        reached = reached or 0 < at_least <= self._progress.seq(self.tenant)
        if not found and not reached:
            # What was asked for may be in the part that is not there yet.
            raise _unread(at_least, f"the graph is still at {seq}")
        rows = Rows(self._bare(row) for row in found)
        rows.seq, rows.stale = seq, not reached and not 0 < at_least <= seq
        return rows

    async def ask_named(self, name: str, parameters: Mapping[str, Any]) -> Rows:
        """See `core.tool.Gateway`."""
        query = self._registry.queries.get(name)
        if query is None:
            known = ", ".join(sorted(self._registry.queries))
            raise Rejected(
                "unknown_query",
                f"name: there is no question {name!r}; known: {known}",
                field="name",
            )
        return await self.ask(name, **query.complete(parameters))

    async def reached(self, seq: int) -> bool:
        """See `core.tool.Gateway`."""
        with self._bus.reading(self.tenant):
            return await self._reached(seq)

    def promise(self, seq: int) -> None:
        """See `core.tool.Gateway`."""
        self._progress.promise(self.tenant, seq)

    async def changed(self, after: int, seconds: float) -> float:
        """See `core.tool.Gateway`."""
        left = seconds
        while left > 0:
            # Others that fold tell of what this process asked for only: it has to look by itself.
            owns = self._owns(self.tenant)
            step = left if owns else min(left, LOOK_SECONDS)
            left -= step - await self._progress.wait_beyond(self.tenant, after, step)
            if owns or await self._seq() > after:
                break
        return max(left, 0.0)

    async def read_cypher(
        self, query: str, parameters: Mapping[str, Any], at: int | datetime | None = None
    ) -> Rows:
        """See `core.tool.Gateway`."""
        if at is not None:
            return await self._read_cypher(query, parameters, self.tenant, at)
        reached = await self._reached(0)
        rows = await self._read_cypher(query, parameters, self.tenant, None)
        rows.seq, rows.stale = await self._seq(), not reached
        return rows

    async def keep_blob(self, data: bytes) -> str:
        """See `core.tool.Gateway`."""
        return await self._bus.keep_blob(data, self.tenant)

    async def read_blob(self, digest: str) -> bytes:
        """See `core.tool.Gateway`."""
        return await self._bus.read_blob(digest, self.tenant)

    async def hash_password(self, user_id: str, password: str, key: str | None) -> str:
        """See `core.tool.Gateway`."""
        return await self._passwords.hashed(self.tenant, user_id, password, key)

    async def common_rules(self) -> int:
        """See `core.tool.Gateway`."""
        return await self._common_rules()

    async def windows(
        self, size: WindowSize, since: int | None, until: int | None, capability: str | None
    ) -> dict[str, Any]:
        """See `core.tool.Gateway`."""
        asked = WindowsAsked(self.tenant, size, since, until, capability)
        return await self._analytics.windows(asked)

    def circuit_breakers(self) -> list[dict[str, Any]]:
        """See `core.tool.Gateway`."""
        return [msgspec.structs.asdict(one) for one in BREAKERS.status()]

    def describe(self) -> dict[str, Any]:
        """See `core.tool.Gateway`."""
        entities = self._registry.entities.values()
        return {
            "nodes": [
                {
                    "label": cls.LABEL,
                    "description": (cls.__doc__ or "").partition("\n")[0],
                    "properties": {
                        "id": "text",
                        "tenant": "text",
                        **{field.name: field.stored for field in shape_of(cls).fields},
                        **dict.fromkeys(cls.DERIVED, "text"),
                    },
                }
                for cls in entities
            ]
            + [EVENT_NODE, TENANT_NODE],
            "relationships": [
                {
                    "type": relationship.type,
                    "from": relationship.to if relationship.reverse else cls.LABEL,
                    "to": cls.LABEL if relationship.reverse else relationship.to,
                    "properties": shape_of(cls).link_kinds(relationship),
                }
                for cls in entities
                for relationship in cls.RELATIONSHIPS
            ]
            + [
                {"type": "ABOUT", "from": "Event", "to": "any", "properties": {}},
                {"type": "CAUSED_BY", "from": "Event", "to": "Event", "properties": {}},
            ],
            "named_queries": [
                {"name": q.name, "answers": q.sentence, "parameters": q.parameters}
                for q in self._registry.queries.values()
            ],
            "dialect": "Cypher as both engines speak it; alias every returned expression",
        }

    async def _reached(self, at_least: int, patience: float | None = None) -> bool:
        """Whether the graph has what this process found in the log or promised, and `at_least`,
        in time."""
        caught_up = await self._caught_up(self.tenant, CATCH_UP_SECONDS)
        seconds = CATCH_UP_SECONDS if patience is None else patience
        reached = caught_up and await self._progress.reached(self.tenant, at_least, seconds)
        promised = self._progress.promised(self.tenant)
        patience = min(seconds, PROMISE_SECONDS)
        return reached and await self._progress.reached(self.tenant, promised, patience)

    async def _seq(self, at_least: int = 0) -> int:
        """How far the graph is, or at least is; from what this process knows, where that will do
        for a caller who knows of `at_least`."""
        seq = self._progress.seq(self.tenant)
        told = 0 < at_least <= seq
        if not seq or not (told or self._owns(self.tenant)):
            rows = await self._graph.query(load_statements.TENANT_SEQ, {"tenant": self.tenant})
            seq = rows[0]["seq"] if rows else 0
            self._progress.seen(self.tenant, seq)
        return seq

    def _bare(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._translate(name, value, entity_id)
            if isinstance(value, str | list | dict)
            else value
            for name, value in row.items()
        }

    def _translate(self, name: str, value: Any, how: Callable[[str, str], str]) -> Any:
        if isinstance(value, str):
            is_id = name == "id" or name.endswith("_id")
            return how(self.tenant, value) if is_id and value else value
        if isinstance(value, list):
            each = name.removesuffix("s") if name == "ids" or name.endswith("_ids") else ""
            return [self._translate(each, one, how) for one in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {key: self._translate(key, one, how) for key, one in items}
        return value


def _unread(at_least: int, why: str) -> Unavailable:
    accepted = f"the request was accepted as event {at_least}, and " if at_least else ""
    reason = f"{accepted}{why}: nothing is lost, read again in a while"
    return Unavailable("graph_behind", reason, seq=at_least)
