"""The histories as rows of bytes by key, small enough to be written one by one."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.analytics.windows import Place, Size, Window
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.module import Registry

_CLOCK, _ENTITY, _WINDOW = "clock", "entity", "window"
_BETWEEN = "|"
"""Between the parts of a key: no name has it."""


class _Clock(msgspec.Struct, array_like=True, frozen=True):
    """How far a tenant is."""

    seq: int
    prev: str
    at: int
    rules: int
    position: tuple[int, int]
    newest: int
    refused: tuple[int, int]


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    """A live entity with its notes."""

    entity: msgspec.Raw
    ready_since: int | None = None
    spent_on: tuple[str, ...] | None = None


_encode = msgspec.msgpack.Encoder().encode
_clock = msgspec.msgpack.Decoder(_Clock).decode
_kept = msgspec.msgpack.Decoder(_Kept).decode
_window = msgspec.msgpack.Decoder(Window).decode


def changes_of(history: TenantHistory) -> dict[str, bytes | None]:
    """The rows that differ since this was last asked; None for those that are gone."""
    found: dict[str, bytes | None] = {}
    for cls, entity_id in history.touched:
        found[_key(_ENTITY, history.tenant, cls.LABEL, entity_id)] = _entity(
            history, cls, entity_id
        )
    for size, start in history.windows.changed:
        window = history.windows.get((size, start))
        found[_key(_WINDOW, history.tenant, size, str(start))] = (
            None if window is None else _encode(window)
        )
    history.settle()
    state = history.state
    found[_key(_CLOCK, history.tenant)] = _encode(
        _Clock(
            state.seq,
            state.prev,
            state.at,
            state.rules,
            state.position,
            history.windows.newest,
            history.refused,
        )
    )
    return found


def histories_in(registry: Registry, rows: Mapping[str, bytes]) -> dict[str, TenantHistory]:
    """The histories that the rows are of, by tenant."""
    found: defaultdict[str, list[tuple[list[str], bytes]]] = defaultdict(list)
    for key, value in rows.items():
        kind, tenant, *rest = key.split(_BETWEEN)
        found[tenant].append(([kind, *rest], value))
    return {tenant: _history(registry, tenant, its) for tenant, its in found.items()}


def _history(registry: Registry, tenant: str, rows: list[tuple[list[str], bytes]]) -> TenantHistory:
    history = TenantHistory(registry, tenant)
    for (kind, *rest), value in rows:
        if kind == _CLOCK:
            _restore_clock(history, _clock(value))
        elif kind == _ENTITY:
            _restore_entity(history, registry.entities[rest[0]], _kept(value))
        else:
            history.windows.put(_place(*rest), _window(value))
    return history


def _restore_clock(history: TenantHistory, clock: _Clock) -> None:
    state = history.state
    state.seq, state.prev, state.at = clock.seq, clock.prev, clock.at
    state.rules, state.position = clock.rules, clock.position
    history.windows.newest = clock.newest
    history.refused = clock.refused


def _restore_entity(history: TenantHistory, cls: type[Any], kept: _Kept) -> None:
    entity: Entity = msgspec.msgpack.decode(kept.entity, type=cls)
    history.state.load(entity)
    if kept.ready_since is not None:
        history.notes.ready_since[entity.id] = kept.ready_since
    if kept.spent_on is not None:
        history.notes.spent_on[entity.id] = kept.spent_on


def _entity(history: TenantHistory, cls: type[Entity], entity_id: str) -> bytes | None:
    entity = history.state.get(cls, entity_id)
    if entity is None:
        return None
    notes = history.notes
    return _encode(
        _Kept(
            msgspec.Raw(_encode(entity)),
            notes.ready_since.get(entity_id) if cls.LABEL == "Task" else None,
            notes.spent_on.get(entity_id) if cls.LABEL == "Spend" else None,
        )
    )


def _key(*parts: str) -> str:
    return _BETWEEN.join(parts)


def _place(size: str, start: str) -> Place:
    found: dict[str, Size] = {one: one for one in get_args(Size)}
    return found[size], int(start)
