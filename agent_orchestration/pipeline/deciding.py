"""One command, one outcome: the purely computing heart of the command processor."""

import logging
from typing import Any

import msgspec

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, Record, stored_form
from agent_orchestration.core.errors import Conflict, Corrupt, PlatformError, Rejected, Unavailable
from agent_orchestration.core.folding import Folded, check_rows, fold
from agent_orchestration.core.messages import (
    Body,
    Command,
    CommandContext,
    CommandResult,
    Event,
    Nothing,
    canonical,
)
from agent_orchestration.core.module import Registry
from agent_orchestration.core.state import Receipt, TenantState

logger = logging.getLogger(__name__)
REJECTION = "CommandRejected"
"""The type of a kept rejection."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A command as read from the log: `position` is (epoch, offset), `timestamp` the log's."""

    envelope: CommandEnvelope
    command: Command
    position: tuple[int, int]
    timestamp: int

    def needs(self) -> tuple[tuple[type[Entity], str], ...]:
        """What has to be in memory before it is decided."""
        return (*self.command.needs(), *self.command.created(self.envelope.id))


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a command: its answer, and its event or a rejection to keep.

    `spoiled` says that the state in memory was changed in vain and has to be loaded again before
    the tenant's next command.
    """

    asked: Asked
    result: CommandResult
    folded: Folded | None = None
    rejection: Record | None = None
    spoiled: bool = False


class Decider:
    """Decides commands against a tenant's state, which it evolves at once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def decide(self, state: TenantState, asked: Asked) -> Outcome:
        """The command's one outcome."""
        if state.quarantined:
            return self._refused(state, asked, _quarantined(state))
        at = max(state.at, asked.timestamp)
        envelope = asked.envelope
        receipt_key = envelope.receipt_key
        receipt = state.recall(receipt_key, at)
        if receipt is not None:
            return self._repeated(state, asked, receipt)
        if asked.position <= state.position:
            # Decided before a take-over, with an outcome that left no event: the caller asks anew.
            return Outcome(asked, self._result(state, asked, "unsettled"))
        context = CommandContext(envelope.id, envelope.tenant, at, envelope.principal)
        try:
            event = self._registry.decide[type(asked.command)](state, asked.command, context)
        except Corrupt:
            raise
        except Exception as error:
            return self._refused(state, asked, _as_refusal(asked, error))
        if isinstance(event, Nothing):
            return Outcome(asked, self._result(state, asked, "nothing", event.data))
        return self._accept(state, asked, event, at, receipt_key)

    def _accept(
        self, state: TenantState, asked: Asked, event: Event, at: int, receipt_key: str
    ) -> Outcome:
        """Evolve the event exactly as it will be read back, and check what it produces."""
        command = asked.envelope
        version, body = stored_form(event, state.rules)
        envelope = EventEnvelope(
            tenant=state.tenant,
            seq=state.seq + 1,
            prev=state.prev,
            type=type(event).__name__,
            version=version,
            at=at,
            body=body,
            command_id=command.id,
            command_position=asked.position,
            actor=command.principal.id,
            receipt_key=receipt_key,
            body_hash=command.body_hash,
            rules=state.rules,
            causation=command.causation,
            correlation=command.correlation,
            traceparent=command.traceparent,
        )
        try:
            folded = fold(self._registry, state, envelope)
            check_rows(folded)
        except Corrupt:
            raise
        except Exception as error:
            refused = self._refused(state, asked, _as_refusal(asked, error))
            return msgspec.structs.replace(refused, spoiled=True)
        result = self._result(state, asked, "accepted", folded.reply)
        return Outcome(asked, msgspec.structs.replace(result, entity=_entity(folded)), folded)

    def _repeated(self, state: TenantState, asked: Asked, receipt: Receipt) -> Outcome:
        if receipt.body_hash != asked.envelope.body_hash:
            conflict = Conflict(
                "idempotency_conflict",
                f"idempotency_key: {asked.envelope.key} was used before with another request;"
                " use a new key",
                field="idempotency_key",
            )
            return self._refused(state, asked, conflict)
        result = self._result(state, asked, "accepted", receipt.data)
        return Outcome(asked, msgspec.structs.replace(result, seq=receipt.seq, repeated=True))

    def _refused(self, state: TenantState, asked: Asked, error: PlatformError) -> Outcome:
        result = self._result(state, asked, "failed")
        rejection = None if error.retryable else self._rejection(asked, error)
        failed = msgspec.structs.replace(result, error=error.to_dict())
        return Outcome(asked, failed, rejection=rejection)

    @staticmethod
    def _rejection(asked: Asked, error: PlatformError) -> Record:
        """Who asked for what, and why not; kept in `system_events`."""
        envelope = asked.envelope
        body = {"command": envelope.type, "command_id": envelope.id, **error.to_dict()}
        epoch, offset = asked.position
        headers = {
            **envelope.to_record().headers,
            "ce_id": f"rejection:{envelope.id}",
            "ce_type": REJECTION,
            "ce_commandposition": f"{epoch}:{offset}",
        }
        return Record(envelope.tenant.encode(), canonical(body), headers)

    @staticmethod
    def _result(
        state: TenantState, asked: Asked, status: str, data: dict[str, Any] | None = None
    ) -> CommandResult:
        return CommandResult(
            command_id=asked.envelope.id,
            tenant=state.tenant,
            status=status,
            seq=state.seq,
            data=data or {},
            copy=asked.envelope.copy,
        )


def _entity(folded: Folded) -> Body | None:
    """What the caller is told beside the reply, as it is now: later events change it."""
    event = folded.event
    if event.REPLY_ENTITY is None:
        return None
    cls, field = event.REPLY_ENTITY
    return msgspec.to_builtins(folded.touched[cls, getattr(event, field)].entity)


def _as_refusal(asked: Asked, error: Exception) -> PlatformError:
    """What the caller is told. A mistake in a rule costs its command, not everybody's work: the
    same command would stop the partition again after each start."""
    if isinstance(error, PlatformError):
        return error
    envelope = asked.envelope
    logger.error("command %s (%s) failed", envelope.id, envelope.type, exc_info=error)
    return Rejected(
        "internal_error",
        f"{envelope.type} could not be decided because of a mistake in the platform; report it with"
        f" the command id {envelope.id}",
        command_id=envelope.id,
    )


def _quarantined(state: TenantState) -> Unavailable:
    return Unavailable(
        "tenant_quarantined",
        f"tenant {state.tenant} is set aside until an operator redrives it: {state.quarantined}",
    )
