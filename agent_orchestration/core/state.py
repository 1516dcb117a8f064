"""A tenant's state in memory: entities, the indexes that decisions ask, and the tenant's clock.

Only `evolve` functions change entities, through `add` and `change`; both remember what was
touched, so that the indexes and the graph's rows follow from it. Loading in any order gives the
same state, because an index is a function of the entities alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

import msgspec

from agent_orchestration.core.entities import Entity, shape_of
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


class Receipt(msgspec.Struct, frozen=True):
    """What is remembered of an accepted command: enough to answer it again."""

    seq: int
    at: int
    body_hash: str
    data: dict[str, Any]


class Touched(msgspec.Struct):
    """An entity as it was when an event first touched it."""

    entity: Entity
    created: bool
    held: tuple[Any, ...]
    keys: tuple[Any, ...]


class TenantState:
    """Everything a decision may read about one tenant.

    `seq`, `prev`, `at` describe the last event; `position` is the (epoch, offset) of the command
    behind it; `rules` the version of the rules in force.
    """

    def __init__(self, tenant: str, indexes: Iterable[Callable[["TenantState"], Any]] = ()) -> None:
        self.tenant = tenant
        self.seq = 0
        self.prev = GENESIS
        self.at = 0
        self.rules = 1
        self.position: tuple[int, int] = (0, -1)
        self.quarantined = ""
        self.receipts: OrderedDict[str, Receipt] = OrderedDict()
        self.examined = 0
        self._entities: dict[type[Entity], dict[str, Entity]] = {}
        self._touched: dict[tuple[type[Entity], str], Touched] = {}
        self._indexes: dict[type[Any], StateIndex[Any]] = {}
        self._by_entity: dict[type[Entity], tuple[StateIndex[Any], ...]] = {}
        for make in indexes:
            index = cast("StateIndex[Any]", make(self))
            self._indexes[type(index)] = index
            self._by_entity[index.ENTITY] = (*self._by_entity.get(index.ENTITY, ()), index)

    def get(self, cls: type[E], entity_id: str) -> E | None:
        """The entity, or None where it does not exist (or was not asked for by `needs`)."""
        self.examined += 1
        return cast("E | None", self._entities.get(cls, {}).get(entity_id))

    def has(self, cls: type[Entity], entity_id: str) -> bool:
        """Whether the entity is in memory."""
        return entity_id in self._entities.get(cls, {})

    def all(self, cls: type[E]) -> Iterator[E]:
        """Every loaded entity of a class: for tests and loading, never for a decision."""
        return cast("Iterator[E]", iter(self._entities.get(cls, {}).values()))

    def index(self, cls: type[IndexT]) -> IndexT:
        """The index of that class."""
        return cast("IndexT", self._indexes[cls])

    def add(self, entity: Entity) -> None:
        """A new entity, from `evolve`."""
        cls = type(entity)
        self._entities.setdefault(cls, {})[entity.id] = entity
        empty = (None,) * len(cls.RELATIONSHIPS)
        keys = (None,) * len(self._by_entity.get(cls, ()))
        self._touched.setdefault((cls, entity.id), Touched(entity, True, empty, keys))

    def change(self, cls: type[E], entity_id: str) -> E:
        """The entity for changing, from `evolve`."""
        entity = cast("E | None", self._entities.get(cls, {}).get(entity_id))
        if entity is None:
            raise Corrupt("missing_entity", f"{cls.__name__} {entity_id} is not in the state")
        if (cls, entity_id) not in self._touched:
            keys = tuple([i.key(entity) for i in self._by_entity.get(cls, ())])
            held = shape_of(cls).held(entity)
            self._touched[cls, entity_id] = Touched(entity, False, held, keys)
        return entity

    def settle(self) -> dict[tuple[type[Entity], str], Touched]:
        """After an event: bring the indexes up to date; answers what the event touched."""
        touched, self._touched = self._touched, {}
        for (cls, _), before in touched.items():
            for index, key in zip(self._by_entity.get(cls, ()), before.keys, strict=True):
                now = index.key(before.entity)
                if now != key:
                    if key is not None:
                        index.drop(key, before.entity)
                    if now is not None:
                        index.put(now, before.entity)
        return touched

    def load(self, entity: Entity) -> None:
        """An entity read from the graph; one already in memory is newer and stays."""
        cls = type(entity)
        entities = self._entities.setdefault(cls, {})
        if entity.id in entities:
            return
        entities[entity.id] = entity
        for index in self._by_entity.get(cls, ()):
            key = index.key(entity)
            if key is not None:
                index.put(key, entity)

    def evict(self, cls: type[Entity], entity_id: str) -> None:
        """Forget an entity that is not live and whose last change the graph has."""
        entity = self._entities.get(cls, {}).get(entity_id)
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
        limit = COMMAND_MEMORY_MS if key.startswith("id:") else KEY_MEMORY_MS
        return receipt if receipt is not None and receipt.at + limit > at else None
