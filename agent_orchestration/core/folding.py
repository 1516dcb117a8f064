"""Folding: the one way from events to state, and from touched entities to rows of the graph."""

from collections.abc import Mapping

import msgspec

from agent_orchestration.core.entities import (
    Entity,
    Row,
    node_id,
    shape_of,
    to_datetime,
)
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.core.messages import Event, EventContext, canonical
from agent_orchestration.core.module import Registry
from agent_orchestration.core.state import Receipt, TenantState, Touched
from agent_orchestration.core.storable import check_row

TouchedKey = tuple[type[Entity], str]
RULES = 1
"""The version of the rules that this program knows."""
REPLY_BYTES = 900 * 1024
"""What an event may answer: thousands of leases or tasks, within the limit of a record."""


class Folded(msgspec.Struct, frozen=True):
    """An event that was folded, and what it touched."""

    envelope: EventEnvelope
    event: Event
    touched: Mapping[TouchedKey, Touched]


def fold(registry: Registry, state: TenantState, envelope: EventEnvelope) -> Folded:
    """Apply the tenant's next event to its state.

    Raises `Corrupt` for a gap in `seq`, a broken `prev` chain, or an event that is unknown here.
    """
    if envelope.seq != state.seq + 1:
        raise Corrupt("gap", f"tenant {state.tenant}: event {envelope.seq} follows {state.seq}")
    if envelope.prev != state.prev:
        raise Corrupt(
            "broken_chain",
            f"tenant {state.tenant}: event {envelope.seq} has another"
            " predecessor than the one before it",
        )
    event = registry.decode_event(envelope.type, envelope.version, envelope.body)
    context = EventContext(envelope.seq, envelope.at, envelope.actor)
    registry.evolve[type(event)](state, event, context)
    state.seq = envelope.seq
    state.prev = envelope.digest
    state.at = envelope.at
    state.position = envelope.command_position
    receipt = Receipt(envelope.seq, envelope.at, envelope.body_hash, event.reply())
    state.remember(envelope.receipt_key, receipt)
    return Folded(envelope, event, state.settle())


def check_rows(folded: Folded) -> None:
    """Raise `Rejected` if a graph could not store what the event produced."""
    for (cls, _), touched in folded.touched.items():
        shape = shape_of(cls)
        check_row(shape.row(folded.envelope.tenant, touched.entity), shape.indexed)
    check_row(event_row(folded), frozenset({"receipt_key"}), REPLY_BYTES)


def event_row(folded: Folded) -> Row:
    """The node of an event: history, receipt and link of the digest chain in one."""
    envelope = folded.envelope
    data = canonical(folded.event.reply()).decode()
    return {
        "id": node_id(envelope.tenant, str(envelope.seq)),
        "tenant": envelope.tenant,
        "seq": envelope.seq,
        "type": envelope.type,
        "at": to_datetime(envelope.at),
        "actor": envelope.actor,
        "command_id": envelope.command_id,
        "receipt_key": envelope.receipt_key,
        "body_hash": envelope.body_hash,
        "digest": envelope.digest,
        "data": data,
    }


def tenant_row(state: TenantState, next_due: int | None) -> Row:
    """The tenant's node: its clock, and when the timer has to look at it next."""
    epoch, offset = state.position
    row: Row = {
        "id": state.tenant,
        "tenant": state.tenant,
        "seq": state.seq,
        "prev": state.prev,
        "at": to_datetime(state.at),
        "rules": state.rules,
        "command_epoch": epoch,
        "command_offset": offset,
    }
    if next_due is not None:
        row["next_due"] = to_datetime(next_due)
    if state.quarantined:
        row["quarantined"] = state.quarantined
    return row
