"""Random histories of one tenant: moves, the commands they become, and what came of them."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, command_body
from agent_orchestration.core.folding import Folded
from agent_orchestration.core.messages import Command, Principal, canonical
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome
from tests.properties import commands
from tests.properties.commands import Move
from tests.properties.company_moves import COMPANY
from tests.unit.domain import START, snapshot

PLAIN = st.just("plain")
HOSTILE = st.sampled_from([
    "plain",
    "\u2028\u2029\ufeff\u200b\u202e",
    "😀🏴‍☠️\U0010ffff",
    "é" + "e\u0301",
    "x" * 10_000,
    "\U0001f600" * 10_000,
    "tab\tand\r\nlines\n",
    "a=b==c",
    "' OR 1=1 //\" }) DETACH DELETE n",
    "$tenant {{}} %s \\u0000 \\",
    '{"$blob":"sha"}',
    "default/acme:1",
    "null",
])  # fmt: skip
KINDS = (*commands.OFTEN, *commands.MAKE, *COMPANY)


def a_move(texts: st.SearchStrategy[str] = PLAIN) -> st.SearchStrategy[Move]:
    """Any move."""
    return st.builds(
        Move,
        kind=st.sampled_from(KINDS),
        task=st.integers(0, 9),
        agent=st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3]),
        number=st.integers(0, 29),
        seconds=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 30, 61, 301, -7]),
        text=texts,
    )


def moves(texts: st.SearchStrategy[str] = PLAIN, most: int = 50) -> st.SearchStrategy[list[Move]]:
    """Lists of moves."""
    move = a_move(texts)
    # A length of its own: lists that end by chance are short.
    later = st.integers(0, most).flatmap(lambda n: st.lists(move, min_size=n, max_size=n))
    return later.map(lambda found: [*OPENING, *found])


OPENING = [
    Move("register", agent=0, number=15),
    Move("register", agent=1, number=9, seconds=30),
    Move("register", agent=2, number=7),
    *(Move("create", task=5, number=number) for number in (4, 1, 7, 10, 15, 3)),
    Move("claim", agent=0),
    Move("form", agent=1, number=7),
    Move("plan", task=1, number=12),
    Move("template", number=7),
    Move("open", agent=1, number=9),
    Move("add user", agent=1, number=4),
    Move("begin session", agent=1, number=1),
]
"""What every history begins with, so that there is something to do."""


class History:
    """A tenant whose commands are decided one after the other, as in production. It begins with
    the oldest rules, so that moves can raise them."""

    def __init__(self, tenant: str = "acme") -> None:
        self.state: TenantState = REGISTRY.new_state(tenant)
        self.now = START
        self.offset = -1
        self.outcomes: list[Outcome] = []
        self._decider = Decider(REGISTRY)

    def play(
        self, moves: Iterable[Move], *, each: Callable[[Outcome], None] = lambda _: None
    ) -> "History":
        """Make the moves; `each` is told every outcome."""
        for move in moves:
            each(self.move(move))
        return self

    def move(self, move: Move) -> Outcome:
        """Make a move."""
        return self.ask(self.command(move), key=f"key {len(self.outcomes)}" if move.keyed else None)

    def command(self, move: Move) -> Command:
        """What a move means now; time goes on by its seconds, or back."""
        self.now += move.seconds * 1000
        return commands.command(self.state, move, self.now)

    def ask(self, command: Command, *, key: str | None = None) -> Outcome:
        """Decide a command as if it had come through the log."""
        envelope = CommandEnvelope(
            id=f"00000000-0000-4000-8000-{self.offset + 1:012d}",
            tenant=self.state.tenant,
            type=type(command).__name__,
            body=command_body(command),
            principal=Principal("me", "admin"),
            key=key,
        )
        return self.ask_again(envelope)

    def ask_again(self, envelope: CommandEnvelope) -> Outcome:
        """Decide what is written in an envelope, at the next position of the log."""
        self.offset += 1
        command = REGISTRY.decode_command(envelope.type, envelope.body)
        asked = Asked(envelope, command, (1, self.offset), self.now)
        outcome = self._decider.decide(self.state, asked)
        assert not outcome.spoiled, outcome.result.error
        self.outcomes.append(outcome)
        return outcome

    @property
    def folded(self) -> list[Folded]:
        """Every event, in order."""
        return [outcome.folded for outcome in self.outcomes if outcome.folded is not None]

    @property
    def envelopes(self) -> list[EventEnvelope]:
        """Every event's envelope, in order."""
        return [folded.envelope for folded in self.folded]


def clock(state: TenantState) -> tuple[Any, ...]:
    """The tenant's clock."""
    return (state.seq, state.prev, state.at, state.rules, state.position)


def facts(state: TenantState) -> dict[str, Any]:
    """All that a state knows but its indexes, as plain data."""
    return {
        "clock": clock(state),
        "entities": snapshot(state),
        "receipts": {key: canonical(receipt) for key, receipt in state.receipts.items()},
    }


def entities(state: TenantState, *, live: bool = False) -> list[Entity]:
    """The entities of a state, or only the live ones."""
    everything = [one for cls in REGISTRY.entities.values() for one in state.all(cls)]
    return [one for one in everything if one.is_live() or not live]


def copy_of(state: TenantState, loaded: Iterable[Entity]) -> TenantState:
    """Another state with the same clock and receipts, and copies of these entities."""
    other = REGISTRY.new_state(state.tenant)
    other.seq, other.prev, other.at, other.position = (
        state.seq,
        state.prev,
        state.at,
        state.position,
    )
    other.rules = state.rules
    other.receipts.update(state.receipts)
    for entity in loaded:
        other.load(msgspec.structs.replace(entity))
    return other
