"""Decisions: they change nothing, and depend on nothing but the facts."""

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import TouchedKey
from agent_orchestration.core.messages import Command, CommandContext, Principal, canonical
from agent_orchestration.core.state import TenantState, Touched
from agent_orchestration.domain.agents.index import AgentsByCapability
from agent_orchestration.domain.agents.model import ANYBODY, Agent
from agent_orchestration.domain.budgets.index import OpenSpends
from agent_orchestration.domain.tasks.index import Children, Dependents, ReadyTasks, TasksByAgent
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.index import TeamMembers, TeamTasks
from agent_orchestration.domain.teams.model import Team
from agent_orchestration.domain.templates.index import TemplateVersions
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.due import due_until, next_due
from tests.properties.commands import Move
from tests.properties.contents import (
    all_due,
    best_ready,
    held_by,
    index_contents,
    members,
    newest,
    open_children,
    open_spends,
    recomputed,
    unstaffed,
    waiting_for,
    work_of,
)
from tests.properties.histories import (
    History,
    copy_of,
    entities,
    facts,
    moves,
)
from tests.unit.domain import snapshot


def decided(state: TenantState, command: Command, at: int) -> Any:
    """The outcome of a decision as plain data."""
    context = CommandContext("command-000000000001", state.tenant, at, Principal("me", "admin"))
    try:
        outcome = REGISTRY.decide[type(command)](state, command, context)
    except PlatformError as error:
        return error.to_dict()
    return type(outcome).__name__, canonical(outcome)


@settings(max_examples=80)
@given(moves(most=40))
def test_deciding_changes_nothing(made: list[Move]) -> None:
    history = History()
    for move in made:
        command = history.command(move)
        before = facts(history.state), index_contents(history.state)
        decided(history.state, command, history.now)
        assert (facts(history.state), index_contents(history.state)) == before
        history.ask(command)


@settings(max_examples=80)
@given(moves(), moves(most=20), st.randoms(use_true_random=False))
def test_decisions_do_not_depend_on_the_order_of_loading(
    made: list[Move], asked: list[Move], random: Any
) -> None:
    history = History().play(made)
    shuffled = entities(history.state)
    random.shuffle(shuffled)
    loaded = copy_of(history.state, shuffled)
    assert index_contents(loaded) == index_contents(history.state)
    for move in asked:
        command = history.command(move)
        assert decided(loaded, command, history.now) == decided(history.state, command, history.now)


@settings(max_examples=80)
@given(moves(most=60))
def test_forgetting_what_is_finished_changes_nothing(made: list[Move]) -> None:
    """One history remembers all; the other forgets at once, and loads what a command needs."""
    history, forgetful = History(), History()
    shelf: dict[tuple[type[Entity], str], Entity] = {}
    last: dict[tuple[type[Entity], str], bytes] = {}
    for move in made:
        command = history.command(move)
        forgetful.now = history.now
        borrowed = [need for need in command.needs() if need in shelf]
        for need in borrowed:
            forgetful.state.load(shelf[need])
        ours, theirs = history.ask(command), forgetful.ask(command)
        assert canonical(ours.result) == canonical(theirs.result)
        assert digest(ours) == digest(theirs)
        for entity in entities(forgetful.state):
            if not entity.is_live():
                key = type(entity), entity.id
                shelf[key] = entity
                assert last.setdefault(key, canonical(entity)) == canonical(entity)
                forgetful.state.evict(*key)
    assert index_contents(history.state) == index_contents(forgetful.state)
    for entity in shelf.values():
        forgetful.state.load(entity)
    assert snapshot(history.state) == snapshot(forgetful.state)


def digest(outcome: Outcome) -> str | None:
    return outcome.folded.envelope.digest if outcome.folded else None


@settings(max_examples=80)
@given(moves(most=60))
def test_indexes_are_those_that_one_would_make_anew(made: list[Move]) -> None:
    history = History()
    for move in made:
        history.move(move)
        assert index_contents(history.state) == recomputed(history.state)


LEVELS = st.dictionaries(
    st.sampled_from(["c0", "c1", "c2"]), st.integers(0, 10).map(lambda n: n * 100)
)


@settings(max_examples=150)
@given(moves(), st.lists(LEVELS, min_size=1, max_size=8))
def test_indexes_answer_what_looking_at_everything_would(
    made: list[Move], levels: list[dict[str, int]]
) -> None:
    history = History().play(made)
    state = history.state
    for some in levels:
        assert state.index(ReadyTasks).best(some) == best_ready(state, some, dedicated=True)
        anybody = {**some, ANYBODY: 0}
        assert state.index(ReadyTasks).best(anybody) == best_ready(state, some)
        assert state.index(AgentsByCapability).unstaffed(some.items()) == unstaffed(
            state, some.items()
        )
    for agent in state.all(Agent):
        teams = [one.team_id for one in agent.memberships]
        best = best_ready(state, agent.levels, teams, agent.id, dedicated=agent.dedicated)
        assert state.index(ReadyTasks).best(agent.abilities) == best
        assert state.index(TasksByAgent).of(agent.id) == held_by(state, agent.id)
    for task in state.all(Task):
        assert state.index(Dependents).of(task.id) == waiting_for(state, task.id)
        assert state.index(Children).of(task.id) == open_children(state, task.id)
        assert state.index(OpenSpends).of(task.id) == open_spends(state, task.id)
    for team in state.all(Team):
        assert state.index(TeamMembers).of(team.id) == members(state, team.id)
        assert state.index(TeamTasks).of(team.id) == work_of(state, team.id)
    for name in ("k0", "k1", "k2"):
        assert state.index(TemplateVersions).newest(name) == newest(state, name)
    due = all_due(state)
    assert next_due(state) == (due[0][0] if due else None)
    for seconds in (0, 30, 60, 600, 10**6):
        at = history.now + seconds * 1000
        assert due_until(state, at) == [one for one in due if one[0] <= at]


@settings(max_examples=80)
@given(moves(most=40))
def test_an_event_changes_only_what_it_says_it_touched(made: list[Move]) -> None:
    history = History()
    for move in made:
        before = {(type(e), e.id): msgspec.structs.replace(e) for e in entities(history.state)}
        outcome = history.move(move)
        touched: Mapping[TouchedKey, Touched] = outcome.folded.touched if outcome.folded else {}
        for entity in entities(history.state):
            key = type(entity), entity.id
            if key not in touched:
                assert canonical(entity) == canonical(before[key])
            else:
                assert touched[key].before == before.get(key)
        assert before.keys() <= {(type(e), e.id) for e in entities(history.state)}
