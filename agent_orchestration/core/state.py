"""A tenant's state in memory: entities, the indexes that decisions ask, and the tenant's clock.

Only `evolve` functions change entities, through `add` and `change`; both remember what was
touched, so that the indexes and the graph's rows follow from it. Loading in any order gives the
same state, because an index is a function of the entities alone.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import Corrupt

E = TypeVar("E", bound=Entity)
IndexT = TypeVar("IndexT", bound="StateIndex[Any]")

COMMAND_MEMORY_MS = 5 * 60 * 1000
KEY_MEMORY_MS = 24 * 60 * 60 * 1000
GENESIS = "0" * 32


class StateIndex(Generic[E]):
    """A question's index: follows `key(entity)` of every loaded entity of one class.

    A key of None means "not in the index". Removal may be lazy; answers may not be stale.
    """

    ENTITY: type[E]

    def __init__(self, state: "TenantState") -> None:
        self.state = state

    def key(self, entity: E) -> Hashable | None:
        """What the index files the entity under."""
        raise NotImplementedError

    def put(self, key: Any, entity: E) -> None:
        """File the entity."""
        raise NotImplementedError

    def drop(self, key: Any, entity: E) -> None:
        """Take the entity out again; `key` is what it was filed under."""
        raise NotImplementedError


Filing = tuple[Callable[[Any], Any], Callable[[Any, Any], None], Callable[[Any, Any], None]]
"""How an index files entities: its `key`, `put` and `drop`."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of an accepted command: enough to answer it again."""

    seq: int
    at: int
    body_hash: str
    data: dict[str, Any]


class Touched(msgspec.Struct, frozen=True, gc=False):
    """An entity that an event touched, and a copy of it from before; None where it is new."""

    entity: Entity
    before: Entity | None


class TenantState:
    """Everything a decision may read about one tenant.

    `seq`, `prev`, `at` describe the last event; `position` is the (epoch, offset) of the command
    behind it; `rules` the version of the rules in force. `left_out` has the digests of events in
    the log that are no part of the history.
    """

    def __init__(self, tenant: str, indexes: Iterable[Callable[["TenantState"], Any]] = ()) -> None:
        self.tenant = tenant
        self.seq = 0
        self.prev = GENESIS
        self.at = 0
        self.rules = 1
        self.position: tuple[int, int] = (0, -1)
        self.quarantined = ""
        self.left_out: frozenset[str] = frozenset()
        self.receipts: OrderedDict[str, Receipt] = OrderedDict()
        self.examined = 0
        self._entities: defaultdict[type[Any], dict[str, Any]] = defaultdict(dict)
        self._touched: dict[tuple[type[Any], str], Touched] = {}
        self._indexes: dict[type[Any], Any] = {}
        self._by_entity: defaultdict[type[Any], list[Filing]] = defaultdict(list)
        for make in indexes:
            index = make(self)
            self._indexes[type(index)] = index
            self._by_entity[index.ENTITY].append((index.key, index.put, index.drop))

    def get(self, cls: type[E], entity_id: str) -> E | None:
        """The entity, or None where it does not exist (or was not asked for by `needs`)."""
        self.examined += 1
        return self._entities[cls].get(entity_id)

    def has(self, cls: type[Entity], entity_id: str) -> bool:
        """Whether the entity is in memory."""
        return entity_id in self._entities[cls]

    def all(self, cls: type[E]) -> Iterator[E]:
        """Every loaded entity of a class: for tests and loading, never for a decision."""
        return iter(self._entities[cls].values())

    def sizes(self) -> dict[str, int]:
        """How many entities of each kind are in memory."""
        return {cls.LABEL: len(its) for cls, its in self._entities.items()}

    def index(self, cls: type[IndexT]) -> IndexT:
        """The index of that class."""
        return self._indexes[cls]

    def add(self, entity: Entity) -> None:
        """A new entity, from `evolve`."""
        cls = type(entity)
        self._entities[cls][entity.id] = entity
        self._touched.setdefault((cls, entity.id), Touched(entity, None))

    def change(self, cls: type[E], entity_id: str) -> E:
        """The entity for changing, from `evolve`."""
        entity: E | None = self._entities[cls].get(entity_id)
        if entity is None:
            raise Corrupt("missing_entity", f"{cls.__name__} {entity_id} is not in the state")
        key = cls, entity_id
        if key not in self._touched:
            self._touched[key] = Touched(entity, replace(entity))
        return entity

    def settle(self) -> dict[tuple[type[Entity], str], Touched]:
        """After an event: bring the indexes up to date; answers what the event touched."""
        touched, self._touched = self._touched, {}
        for (cls, _), one in touched.items():
            entity, before = one.entity, one.before
            for key, put, drop in self._by_entity[cls]:
                now = key(entity)
                old = None if before is None else key(before)
                if now is not old and now != old:
                    if old is not None:
                        drop(old, entity)
                    if now is not None:
                        put(now, entity)
        return touched

    def load(self, entity: Entity) -> None:
        """An entity read from the graph; one already in memory is newer and stays."""
        cls = type(entity)
        entities = self._entities[cls]
        if entity.id in entities:
            return
        entities[entity.id] = entity
        for key, put, _ in self._by_entity[cls]:
            now = key(entity)
            if now is not None:
                put(now, entity)

    def evict(self, cls: type[Entity], entity_id: str) -> None:
        """Forget an entity that is not live and whose last change the graph has."""
        entity = self._entities[cls].get(entity_id)
        if entity is not None and not entity.is_live():
            del self._entities[cls][entity_id]

    def remember(self, key: str, receipt: Receipt) -> None:
        """Remember an accepted command under its key."""
        self.receipts[key] = receipt
        self.receipts.move_to_end(key)

    def forget(self, applied: int) -> None:
        """Drop receipts that are over five minutes old and that the graph has (`applied` is its
        seq): younger ids are answered from memory, client keys are looked up in the graph."""
        while self.receipts:
            key = next(iter(self.receipts))
            receipt = self.receipts[key]
            if receipt.at + COMMAND_MEMORY_MS > self.at or receipt.seq > applied:
                break
            del self.receipts[key]

    def recall(self, key: str, at: int) -> Receipt | None:
        """The receipt of an earlier command with that key, while it counts."""
        receipt = self.receipts.get(key)
        if receipt is None:
            return None
        limit = COMMAND_MEMORY_MS if key.startswith("id:") else KEY_MEMORY_MS
        return receipt if receipt.at + limit > at else None
