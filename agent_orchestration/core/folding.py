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
from agent_orchestration.core.messages import Body, Event, EventContext, canonical
from agent_orchestration.core.module import Registry
from agent_orchestration.core.state import Receipt, TenantState, Touched
from agent_orchestration.core.storable import (
    PLAIN_BYTES,
    PLAIN_NUMBER,
    SHORT_BYTES,
    SHORT_TEXT,
    check_row,
    is_plain,
)
from agent_orchestration.core.types import TRACEPARENT

TouchedKey = tuple[type[Entity], str]
RULES = 2
"""The newest version of the rules that this program knows. What a rule answers and what an event
changes may differ from one version to the next, and only by `state.rules`; what each version
brought is listed in docs/decisions/0004-rules-version.md."""
LONGEST_CORRELATION = 128
"""Characters of a correlation that the graph keeps."""
REPLY_BYTES = 900 * 1024
"""What an event may answer: thousands of leases or tasks, within the limit of a record."""


class Folded(msgspec.Struct, frozen=True, gc=False):
    """An event that was folded, what it touched, its `digest`, and what its caller is told."""

    envelope: EventEnvelope
    event: Event
    touched: Mapping[TouchedKey, Touched]
    digest: str
    reply: Body


def fold(registry: Registry, state: TenantState, envelope: EventEnvelope) -> Folded:
    """Apply the tenant's next event to its state.

    Raises `Corrupt` for a gap in `seq`, a broken `prev` chain, an event that is unknown here, and
    for one that was decided under other rules than the tenant's, or brings newer ones than ours.
    """
    if envelope.seq != state.seq + 1:
        raise Corrupt("gap", f"tenant {state.tenant}: event {envelope.seq} follows {state.seq}")
    if envelope.prev != state.prev:
        raise Corrupt(
            "broken_chain",
            f"tenant {state.tenant}: event {envelope.seq} has another"
            " predecessor than the one before it",
        )
    check_rules(state.tenant, envelope.rules)
    if envelope.seq == 1:
        state.rules = envelope.rules
    elif envelope.rules != state.rules:
        raise Corrupt(
            "other_rules",
            f"tenant {state.tenant}: event {envelope.seq} was decided under rules"
            f" {envelope.rules}, but rules {state.rules} are in force",
        )
    event = registry.decode_event(envelope.type, envelope.version, envelope.body)
    context = EventContext(
        envelope.seq, envelope.at, envelope.actor, _trace(envelope), _correlation(envelope)
    )
    registry.evolve[type(event)](state, event, context)
    check_rules(state.tenant, state.rules)
    digest = envelope.digest
    state.seq = envelope.seq
    state.prev = digest
    state.at = envelope.at
    state.position = envelope.command_position
    reply = event.reply()
    receipt = Receipt(envelope.seq, envelope.at, envelope.body_hash, reply)
    state.remember(envelope.receipt_key, receipt)
    return Folded(envelope, event, state.settle(), digest, reply)


def _correlation(envelope: EventEnvelope) -> str | None:
    """What the event belongs to; nothing that the graph could not keep."""
    found = envelope.correlation
    if found is None or envelope.rules < 2 or len(found) > LONGEST_CORRELATION:
        return None
    return found if found.isprintable() else None


def _trace(envelope: EventEnvelope) -> str | None:
    """The trace of the call behind the event; nothing that the graph could not keep."""
    trace = envelope.traceparent
    known = trace is not None and envelope.rules >= 2 and TRACEPARENT.fullmatch(trace)
    return trace if known else None


def check_rules(tenant: str, rules: int) -> None:
    """Raise `Corrupt` where a tenant is under newer rules than this program knows: whatever it
    decided or folded would be wrong."""
    if rules > RULES:
        raise Corrupt(
            "newer_rules",
            f"tenant {tenant} is under rules {rules}; this program knows {RULES}: upgrade it",
        )


def check_rows(folded: Folded) -> None:
    """Raise `Rejected` if a graph could not store what the event produced.

    Rows hold pieces of the event, put together with ids and counters. So there is no need to make
    the rows of a short event in order to check them; only indexed texts have to be shorter yet.
    """
    envelope = folded.envelope
    size = len(envelope.body)
    plain = size <= PLAIN_BYTES and _has_plain_metadata(envelope) and is_plain(envelope.body)
    if plain and size <= SHORT_BYTES:
        return
    for (cls, _), touched in folded.touched.items():
        shape = shape_of(cls)
        if not (plain and shape.has_short_names(envelope.tenant, touched.entity)):
            check_row(shape.row(envelope.tenant, touched.entity), shape.indexed)
    if not plain:
        check_row(event_row(folded), frozenset({"receipt_key"}), REPLY_BYTES)


def _has_plain_metadata(envelope: EventEnvelope) -> bool:
    """Whether what is no part of the body is short: its digest was made of it, so it can be
    encoded."""
    names = envelope.tenant, envelope.receipt_key, envelope.command_id, envelope.actor
    return 0 <= envelope.at < PLAIN_NUMBER and len("".join(names)) <= SHORT_TEXT


def event_row(folded: Folded) -> Row:
    """The node of an event: history, receipt and link of the digest chain in one."""
    envelope = folded.envelope
    data = canonical(folded.reply).decode()
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
        "digest": folded.digest,
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
    if state.left_out:
        row["left_out"] = sorted(state.left_out)
    return row
