"""What holds after every event, whatever was asked."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings

from agent_orchestration.core.state import GENESIS
from agent_orchestration.domain.plans.events import PlanSubmitted
from agent_orchestration.domain.tasks.commands import AttemptCommand, ExpireLease, ReleaseTask
from agent_orchestration.domain.tasks.events import (
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskLeaseExpired,
    TaskProgressed,
    TaskStarted,
)
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.tenants.events import RulesRaised
from agent_orchestration.pipeline.deciding import Outcome
from tests.properties.commands import Move
from tests.properties.histories import History, moves
from tests.properties.laws import TAKEN, check_laws
from tests.unit.domain import replay, snapshot

SAID = (TaskStarted, TaskProgressed, TaskCompleted, TaskFailed)


@settings(max_examples=150)
@given(moves(most=80))
def test_agents_and_tasks_agree_after_every_event(made: list[Move]) -> None:
    history = History()

    def check(outcome: Outcome) -> None:
        if outcome.folded is not None:
            check_laws(history.state, outcome.folded.event)

    history.play(made, each=check)


@settings(max_examples=150)
@given(moves(most=80))
def test_each_attempt_has_one_holder_and_nobody_else_is_listened_to(made: list[Move]) -> None:
    holders: dict[str, list[str]] = defaultdict(list)
    ended: set[tuple[str, int]] = set()
    created: set[str] = set()
    for outcome in History().play(made).outcomes:
        if outcome.folded is None:
            continue
        event, command = outcome.folded.event, outcome.asked.command
        if isinstance(command, AttemptCommand | ExpireLease | ReleaseTask):
            assert command.attempt == len(holders[command.task_id])
        if isinstance(event, TaskCreated):
            assert event.task_id not in created
            created.add(event.task_id)
        if isinstance(event, PlanSubmitted):
            new = {event.plan_id, *(task.task_id for task in event.tasks)}
            assert len(new) == len(event.tasks) + 1
            assert not new & created
            created |= new
        if isinstance(event, TAKEN):
            holders[event.task_id].append(event.agent_id)
            assert event.attempt == len(holders[event.task_id])
        if isinstance(event, SAID):
            assert event.attempt == len(holders[event.task_id])
            assert event.agent_id == holders[event.task_id][-1]
            assert (event.task_id, event.attempt) not in ended
        if isinstance(event, TaskCompleted | TaskFailed):
            ended.add((event.task_id, event.attempt))


@settings(max_examples=60)
@given(moves())
def test_a_history_is_an_unbroken_chain(made: list[Move]) -> None:
    history = History().play(made)
    envelopes = history.envelopes
    assert [one.seq for one in envelopes] == list(range(1, len(envelopes) + 1))
    assert envelopes[0].prev == GENESIS
    for before, after in pairwise(envelopes):
        assert after.prev == before.digest
        assert after.at >= before.at
        assert after.command_position > before.command_position
    last = envelopes[-1]
    assert (history.state.prev, history.state.at) == (last.digest, last.at)
    assert (history.state.seq, history.state.position) == (last.seq, last.command_position)
    assert len({one.digest for one in envelopes}) == len(envelopes)
    assert len({one.id for one in envelopes}) == len(envelopes)


@settings(max_examples=60)
@given(moves())
def test_an_event_is_decided_under_the_rules_that_the_events_before_it_put_in_force(
    made: list[Move],
) -> None:
    in_force = 1
    for folded in History().play(made).folded:
        assert folded.envelope.rules == in_force
        if isinstance(folded.event, RulesRaised):
            assert folded.event.rules > in_force
            in_force = folded.event.rules


@settings(max_examples=150)
@given(moves(most=80))
def test_the_policy_ends_a_task_after_as_many_attempts_as_were_not_given_back(
    made: list[Move],
) -> None:
    history = History()

    def check(outcome: Outcome) -> None:
        event = outcome.folded.event if outcome.folded else None
        if isinstance(event, TaskFailed | TaskLeaseExpired):
            task = history.state.get(Task, event.task_id)
            assert task is not None
            given_back = task.reason == f"attempt {event.attempt} was given back"
            assert not given_back or (history.state.rules >= 2 and task.is_live())
            goes_on = task.is_live() and not given_back
            assert not goes_on or task.max_attempts == 0 or task.counted < task.max_attempts

    history.play(made, each=check)


@settings(max_examples=60)
@given(moves())
def test_the_history_alone_tells_the_state(made: list[Move]) -> None:
    history = History().play(made)
    assert snapshot(replay(history.envelopes, "acme")) == snapshot(history.state)


@settings(max_examples=40)
@given(moves())
def test_when_all_deadlines_are_over_nobody_holds_anything(made: list[Move]) -> None:
    """The timer alone brings every tenant to rest."""
    history = History().play(made)
    for _ in range(1000):
        # Longer than any lease, even where time has run back.
        outcome = history.move(Move("due", seconds=1000))
        if outcome.folded is None:
            break
    assert all(task.status not in HELD or task.children for task in history.state.all(Task))
    assert all(task.retry_at is None for task in history.state.all(Task))
