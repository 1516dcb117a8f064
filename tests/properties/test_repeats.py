"""Commands that come twice: under the same id, under the same key, after a crash."""

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import command_body
from agent_orchestration.core.messages import CommandResult, canonical
from agent_orchestration.core.state import COMMAND_MEMORY_MS, KEY_MEMORY_MS
from agent_orchestration.domain.capabilities.commands import DefineCapability
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.loading import load_receipts, load_tenant
from tests.properties.commands import Move
from tests.properties.graph_model import Batch, GraphModel, Reader
from tests.properties.histories import History, facts, moves

PLACES = st.lists(st.integers(0, 10**6), min_size=1, max_size=10)


def answer(result: CommandResult) -> bytes:
    """What the caller was told, whether or not it was a repeat."""
    told = {"status": result.status, "seq": result.seq, "data": result.data, "error": result.error}
    return canonical(told)


def is_remembered(history: History, outcome: Outcome) -> bool:
    """Whether the command was accepted a short time ago, or a day ago with a key."""
    if outcome.folded is None:
        return False
    memory = COMMAND_MEMORY_MS if outcome.asked.envelope.key is None else KEY_MEMORY_MS
    return outcome.folded.envelope.at + memory > max(history.now, history.state.at)


def assert_harmless(history: History, outcome: Outcome) -> None:
    """An accepted command that comes again leads to no event and gets its first answer."""
    before = facts(history.state)
    again = history.ask_again(outcome.asked.envelope)
    assert again.folded is None
    assert again.result.repeated
    assert answer(again.result) == answer(outcome.result)
    assert facts(history.state) == before


@settings(max_examples=60)
@given(moves(most=30))
def test_every_command_may_come_twice_at_once(made: list[Move]) -> None:
    history = History()
    for move in made:
        outcome = history.move(move)
        if outcome.folded is not None:
            assert_harmless(history, outcome)
        else:
            before = facts(history.state)
            again = history.ask_again(outcome.asked.envelope)
            assert answer(again.result) == answer(outcome.result)
            assert facts(history.state) == before


@settings(max_examples=60)
@given(moves(), PLACES)
def test_every_accepted_command_may_come_again_later(made: list[Move], places: list[int]) -> None:
    history = History().play(made)
    accepted = [outcome for outcome in history.outcomes if is_remembered(history, outcome)]
    for place in places if accepted else ():
        assert_harmless(history, accepted[place % len(accepted)])


@settings(max_examples=40)
@given(moves(), PLACES)
def test_every_accepted_command_may_come_again_after_a_crash(
    made: list[Move], places: list[int]
) -> None:
    history = History().play(made)
    accepted = [outcome for outcome in history.outcomes if is_remembered(history, outcome)]
    asked = [outcome.asked.envelope for outcome in accepted]

    async def reload() -> None:
        graph = GraphModel()
        await Reader(graph, "acme").read(history.envelopes, [Batch(size=7)])
        history.state = await load_tenant(graph, REGISTRY, "acme")
        keys = [envelope.receipt_key for envelope in asked if envelope.key is not None]
        await load_receipts(graph, history.state, keys)

    asyncio.run(reload())
    for place in places if accepted else ():
        assert_harmless(history, accepted[place % len(accepted)])


@settings(max_examples=40)
@given(moves(), PLACES)
def test_a_key_is_not_used_for_another_request(made: list[Move], places: list[int]) -> None:
    history = History().play(made)
    keyed = [
        outcome
        for outcome in history.outcomes
        if outcome.asked.envelope.key is not None and is_remembered(history, outcome)
    ]
    for place in places if keyed else ():
        envelope = keyed[place % len(keyed)].asked.envelope
        fields = msgspec.json.decode(envelope.body)
        other = msgspec.structs.replace(
            envelope, id="another", body=canonical({**fields, **different(fields)})
        )
        before = facts(history.state)
        outcome = history.ask_again(other)
        assert outcome.result.error is not None
        assert outcome.result.error["error"] == "conflict"
        assert facts(history.state) == before


def different(fields: dict[str, object]) -> dict[str, object]:
    """One of the ids, another one; the rules have none."""
    if "rules" in fields:
        return {"rules": 1000}
    ids = ("task_id", "agent_id", "team_id", "plan_id", "session_id", "user_id", "name")
    name = next(name for name in ids if name in fields)
    return {name: "another"}


@settings(max_examples=30)
@given(moves(most=20))
def test_the_same_body_under_the_same_key_is_carried_out_once_by_each_caller(
    made: list[Move],
) -> None:
    history = History().play(made)
    define = DefineCapability(name="c7", category="x")
    first = history.ask(define, key="mine")
    assert first.result.status == "accepted"
    assert_harmless(history, first)
    other = msgspec.structs.replace(
        first.asked.envelope,
        id="other",
        principal=msgspec.structs.replace(first.asked.envelope.principal, id="you"),
    )
    assert history.ask_again(other).result.status == "nothing"


@settings(max_examples=40)
@given(moves())
def test_a_command_whose_outcome_left_no_event_is_asked_anew_after_a_takeover(
    made: list[Move],
) -> None:
    """A new owner reads again what its predecessor had decided: accepted commands get their
    answers, the others are unsettled, and there is no second event."""
    history = History().play(made)
    owner = History()
    owner.state, owner.now = history.state, history.now
    before = facts(owner.state)
    for outcome in list(history.outcomes):
        if outcome.folded is not None and not is_remembered(history, outcome):
            continue
        if outcome.asked.position > history.state.position:
            break
        owner.offset = outcome.asked.position[1] - 1
        again = owner.ask_again(outcome.asked.envelope)
        assert again.folded is None
        if outcome.folded is not None:
            assert answer(again.result) == answer(outcome.result)
        else:
            assert again.result.status == "unsettled"
    assert facts(owner.state) == before


def test_bodies_are_told_apart_by_their_canonical_form() -> None:
    one = DefineCapability(name="a", category="b")
    assert command_body(one) == b'{"category":"b","description":null,"name":"a"}'
