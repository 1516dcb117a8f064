"""Given events, when a command, then an event, a refusal or nothing: the pure core under test."""

from collections.abc import Iterable
from typing import Any

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import EventEnvelope, event_body
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import check_rows, fold
from agent_orchestration.core.messages import (
    Command,
    CommandContext,
    Event,
    Nothing,
    Principal,
    canonical,
)
from agent_orchestration.core.state import TenantState

START = 1_700_000_000_000
"""The time of the first command, in milliseconds."""


class Domain:
    """A tenant's history in memory. Time stands still unless `pass_seconds` moves it."""

    def __init__(self, tenant: str = "default") -> None:
        self.state: TenantState = REGISTRY.new_state(tenant)
        self.now = START
        self.history: list[EventEnvelope] = []
        self._commands = 0

    def given(self, *commands: Command) -> "Domain":
        """Commands that must be accepted, or leave nothing to do."""
        for command in commands:
            self.when(command)
        return self

    def pass_seconds(self, seconds: float) -> "Domain":
        """Time passes."""
        self.now += round(seconds * 1000)
        return self

    def decide(self, command: Command) -> Event | Nothing:
        """The decision alone; changes nothing."""
        self._commands += 1
        context = CommandContext(
            f"command-{self._commands:012d}", self.state.tenant, self.now, Principal("me", "admin")
        )
        return REGISTRY.decide[type(command)](self.state, command, context)

    def when(self, command: Command) -> Event | Nothing:
        """Decide and fold what came out of it, through its stored form."""
        body = canonical(command)
        outcome = self.decide(REGISTRY.decode_command(type(command).__name__, body))
        if isinstance(outcome, Event):
            self._fold(outcome)
        return outcome

    def refused(self, command: Command) -> PlatformError:
        """The refusal of a command; fails if it was not refused or changed anything."""
        before = self.snapshot()
        try:
            outcome = self.when(command)
        except PlatformError as error:
            assert self.snapshot() == before
            return error
        raise AssertionError(f"not refused: {outcome}")

    def snapshot(self) -> dict[str, Any]:
        """Every entity as plain data, by label and id."""
        return snapshot(self.state)

    def _fold(self, event: Event) -> None:
        envelope = EventEnvelope(
            tenant=self.state.tenant,
            seq=self.state.seq + 1,
            prev=self.state.prev,
            type=type(event).__name__,
            version=event.VERSION,
            at=self.now,
            body=event_body(event),
            command_id=f"command-{self._commands:012d}",
            command_position=(1, self._commands),
            actor="me",
            receipt_key=f"id:command-{self._commands:012d}",
            body_hash="",
        )
        self.history.append(envelope)
        check_rows(fold(REGISTRY, self.state, envelope))


def snapshot(state: TenantState) -> dict[str, Any]:
    """Every entity of a state as plain data, by label and id."""
    return {
        label: {entity.id: canonical(entity) for entity in state.all(cls)}
        for label, cls in REGISTRY.entities.items()
    }


def replay(history: Iterable[EventEnvelope], tenant: str = "default") -> TenantState:
    """A state folded from a history alone."""
    state = REGISTRY.new_state(tenant)
    for envelope in history:
        fold(REGISTRY, state, envelope)
    return state
