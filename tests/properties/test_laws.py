"""What holds after every event, whatever was asked."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings

from agent_orchestration.core.messages import Event
from agent_orchestration.core.state import GENESIS, TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.plans.events import PlanSubmitted
from agent_orchestration.domain.tasks.commands import AttemptCommand, ExpireLease, ReleaseTask
from agent_orchestration.domain.tasks.events import (
    TaskAssigned,
    TaskClaimed,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskProgressed,
    TaskStarted,
)
from agent_orchestration.domain.tasks.index import meets
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.teams.model import Team
from agent_orchestration.pipeline.deciding import Outcome
from tests.properties.commands import Move
from tests.properties.contents import unmet
from tests.properties.histories import History, moves
from tests.unit.domain import replay, snapshot

TAKEN = (TaskClaimed, TaskAssigned)
SAID = (TaskStarted, TaskProgressed, TaskCompleted, TaskFailed)


@settings(max_examples=150)
@given(moves(most=80))
def test_agents_and_tasks_agree_after_every_event(made: list[Move]) -> None:
    history = History()

    def check(outcome: Outcome) -> None:
        if outcome.folded is not None:
            _check_agents(history.state, outcome.folded.event)
            _check_tasks(history.state)
            _check_plans(history.state)
            _check_teams(history.state)

    history.play(made, each=check)


def _check_agents(state: TenantState, event: Event) -> None:
    for agent in state.all(Agent):
        its = [task for task in state.all(Task) if task.held_by(agent.id)]
        assert agent.active == len(its)
        assert agent.retired_at is None or agent.active == 0
    if isinstance(event, TAKEN):
        agent, task = state.get(Agent, event.agent_id), state.get(Task, event.task_id)
        assert agent is not None
        assert task is not None
        assert agent.active <= agent.max_concurrency
        assert not agent.draining
        assert meets(agent.levels, task.requires)
        assert task.team_id is None or task.team_id in {m.team_id for m in agent.memberships}


def _check_plans(state: TenantState) -> None:
    for plan in state.all(Task):
        its = [task for task in state.all(Task) if task.parent_id == plan.id]
        ended = [task.status for task in its if not task.is_live()]
        assert plan.children == len(its)
        if not its:
            continue
        assert plan.open_children == len(its) - len(ended)
        assert plan.failed_children == len(ended) - ended.count("completed")
        assert (plan.status == "running") == bool(plan.open_children)
        if plan.status != "running":
            assert (plan.status == "completed") == (plan.failed_children == 0)
        assert (plan.assignment, plan.attempt, plan.lease_until) == (None, 0, None)


def _check_teams(state: TenantState) -> None:
    for agent in state.all(Agent):
        teams = [state.get(Team, one.team_id) for one in agent.memberships]
        assert all(team is not None and team.is_live() for team in teams)
        assert len(teams) == len({one.team_id for one in agent.memberships})
        assert agent.retired_at is None or not teams
    for task in state.all(Task):
        if task.team_id is not None and task.is_live():
            team = state.get(Team, task.team_id)
            assert team is not None
            assert team.is_live()


def _check_tasks(state: TenantState) -> None:
    for task in state.all(Task):
        held = task.status in HELD and not task.children
        finished = not task.is_live()
        assert (task.finished_at is not None) == finished
        assert (task.lease_until is not None) == held
        assert task.retry_at is None or task.status == "blocked"
        if held:
            assert task.assignment is not None
        if task.assignment is not None:
            assert task.assignment.attempt == task.attempt
            assert held or finished
        if task.is_live():
            waits = unmet(state, task)
            assert task.waiting_on == len(waits), (task, waits)
            assert (task.status == "blocked") == bool(waits or task.retry_at is not None)
        if task.status == "completed":
            assert task.waiting_on == 0
        assert task.max_attempts == 0 or task.status != "failed" or task.attempt >= 1


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
