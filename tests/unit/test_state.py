"""The tenant's state: entities, indexes that follow them, deadlines, and what is remembered."""

import random

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.deadlines import Deadlines
from agent_orchestration.core.entities import shape_of
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.state import (
    COMMAND_MEMORY_MS,
    KEY_MEMORY_MS,
    Receipt,
    TenantState,
)
from agent_orchestration.core.storable import check_row
from agent_orchestration.domain.agents.commands import ExpireAgent, RetireAgent
from agent_orchestration.domain.agents.index import AgentsByCapability
from agent_orchestration.domain.agents.model import ANYBODY, Agent, Skill
from agent_orchestration.domain.tasks.commands import ExpireLease, ReleaseTask
from agent_orchestration.domain.tasks.index import Dependents, ReadyTasks, TasksByAgent
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.pipeline.due import command_for, due_until, next_due
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, claim, complete, fail, task


def new_state() -> TenantState:
    return REGISTRY.new_state("default")


def an_agent(agent_id: str = "ann", **skills: int) -> Agent:
    found = tuple(sorted(Skill(name, level) for name, level in skills.items()))
    return Agent(id=agent_id, name=agent_id, kind="llm", skills=found)


# ── entities


def test_an_added_entity_is_found_and_told_by_settle_as_created() -> None:
    state = new_state()
    ann = an_agent(python=1)
    state.add(ann)
    touched = state.settle()
    assert state.get(Agent, "ann") is ann
    assert list(touched) == [(Agent, "ann")]
    assert (touched[Agent, "ann"].entity, touched[Agent, "ann"].before) == (ann, None)
    assert state.settle() == {}


def test_a_changed_entity_is_told_with_what_it_was_before() -> None:
    state = new_state()
    state.load(an_agent(python=1))
    state.change(Agent, "ann").skills = ()
    state.change(Agent, "ann").name = "Anna"
    touched = state.settle()[Agent, "ann"]
    assert touched.before == an_agent(python=1)
    assert touched.entity == msgspec.structs.replace(an_agent(), name="Anna")


def test_changing_what_is_not_there_is_a_corrupt_history() -> None:
    with pytest.raises(Corrupt, match="Task parse is not in the state"):
        new_state().change(Task, "parse")


def test_what_is_in_memory_is_newer_than_what_is_loaded() -> None:
    state = new_state()
    newer, older = an_agent(python=9), an_agent(python=1)
    state.load(newer)
    state.load(older)
    assert state.get(Agent, "ann") is newer
    assert state.index(AgentsByCapability).unstaffed([("python", 9)]) == ()


def test_every_level_comes_back_from_the_graph_as_it_was() -> None:
    shape = shape_of(Agent)
    for level in range(1001):
        ann = an_agent(python=level)
        links = {"HAS_CAPABILITY": list(shape.links("t", 0, ann.skills).items())}
        assert links["HAS_CAPABILITY"] == [("t/python", {"level": level / 1000})]
        assert shape.load("t", shape.row("t", ann), links) == ann


def test_an_entity_of_another_class_with_the_same_id_is_another_entity() -> None:
    state = new_state()
    state.load(an_agent())
    assert state.has(Agent, "ann")
    assert not state.has(Task, "ann")
    assert state.get(Task, "ann") is None


def test_only_what_never_changes_again_can_be_evicted() -> None:
    domain = Domain().given(agent(), agent("bob"), task(), task("done"), claim("bob"))
    domain.given(complete("parse", "bob"), RetireAgent(agent_id="bob"))
    for cls in REGISTRY.entities.values():
        for entity in list(domain.state.all(cls)):
            domain.state.evict(cls, entity.id)
    assert [one.id for one in domain.state.all(Agent)] == ["ann"]
    assert [one.id for one in domain.state.all(Task)] == ["done"]
    domain.state.evict(Task, "ghost")


# ── indexes


def test_indexes_follow_changes_only_when_the_event_is_over() -> None:
    state = new_state()
    state.load(Task(id="a", title="a", status="ready", created_seq=1))
    ready = state.index(ReadyTasks)
    state.change(Task, "a").status = "running"
    assert ready.best({ANYBODY: 0}) == "a"
    state.settle()
    assert ready.best({ANYBODY: 0}) is None


def test_the_first_ready_task_does_not_depend_on_the_order_of_loading() -> None:
    in_order = [f"t{n}" for priority in range(3) for n in range(50) if n % 3 == priority]
    for seed in range(5):
        tasks = [
            Task(id=f"t{n}", title="t", status="ready", priority=n % 3 + 1, created_seq=n)
            for n in range(50)
        ]
        random.Random(seed).shuffle(tasks)
        state = new_state()
        for one in tasks:
            state.load(one)
        found: list[str] = []
        while (best := state.index(ReadyTasks).best({ANYBODY: 0})) is not None:
            found.append(best)
            state.change(Task, best).status = "running"
            state.settle()
        assert found == in_order


def test_nobody_waits_and_nobody_holds_in_an_empty_state() -> None:
    state = new_state()
    assert state.index(Dependents).of("parse") == ()
    assert state.index(TasksByAgent).of("ann") == frozenset()
    assert state.index(ReadyTasks).best({"python": 1000, ANYBODY: 0}) is None
    assert next_due(state) is None
    assert due_until(state, START) == []


# ── deadlines


def test_deadlines_come_in_order_and_can_be_replaced_and_dropped() -> None:
    deadlines = Deadlines[tuple[int, str]]()
    for at, key in ((30, "c"), (10, "a"), (20, "b"), (40, "d")):
        deadlines.put(key, (at, key))
    deadlines.put("a", (50, "a"))
    deadlines.drop("b")
    assert deadlines.first() == (30, "c")
    assert deadlines.until(40) == [(30, "c"), (40, "d")]
    assert deadlines.until(29) == []
    deadlines.put("b", (20, "b"))
    deadlines.put("b", (20, "b"))
    assert deadlines.until(100) == [(20, "b"), (30, "c"), (40, "d"), (50, "a")]


def test_deadlines_do_not_grow_with_what_was_dropped() -> None:
    deadlines = Deadlines[tuple[int, str]]()
    deadlines.put("first", (0, "first"))
    for number in range(1000):
        deadlines.put("x", (1000 + number, "x"))
        deadlines.drop("x")
    assert len(vars(deadlines)["_heap"]) < 100
    assert deadlines.until(5000) == [(0, "first")]


def test_what_is_due_names_the_command_that_makes_it_happen() -> None:
    domain = Domain().given(agent(heartbeat_seconds=90, at_once=2), task("a"), task("b"))
    domain.given(claim(), claim(), fail("b", retry_after_ms=5000))
    assert next_due(domain.state) == START + 5000
    due = due_until(domain.state, START + 90_000)
    assert due == [
        (START + 5000, "retry", "b", 1),
        (START + 60_000, "lease", "a", 1),
        (START + 90_000, "silence", "ann", 0),
    ]
    assert [command_for(one) for one in due] == [
        ReleaseTask(task_id="b", attempt=1),
        ExpireLease(task_id="a", attempt=1),
        ExpireAgent(agent_id="ann"),
    ]


def test_a_task_that_was_not_started_is_due_as_well() -> None:
    domain = Domain().given(agent(), task(), claim(start=False))
    assert due_until(domain.state, START + 60_000) == [(START + 60_000, "lease", "parse", 1)]


def test_what_happened_is_due_no_more() -> None:
    domain = Domain().given(agent(heartbeat_seconds=90), task(), claim()).pass_seconds(90)
    for due in due_until(domain.state, domain.now):
        domain.given(command_for(due))
    assert due_until(domain.state, domain.now) == []
    assert next_due(domain.state) is None


# ── what is remembered of commands


def receipt(at: int, seq: int = 1) -> Receipt:
    return Receipt(seq, at, "hash", {})


def test_a_command_id_is_remembered_for_five_minutes_and_a_key_for_a_day() -> None:
    state = new_state()
    state.remember("id:c", receipt(START))
    state.remember("key:k", receipt(START))
    for key, memory in (("id:c", COMMAND_MEMORY_MS), ("key:k", KEY_MEMORY_MS)):
        assert state.recall(key, START + memory - 1) == receipt(START)
        assert state.recall(key, START + memory) is None
    assert state.recall("id:unknown", START) is None


def test_only_what_is_old_and_in_the_graph_is_forgotten() -> None:
    state = new_state()
    for seq in range(1, 5):
        state.remember(f"id:{seq}", receipt(START + seq, seq))
    state.at = START + COMMAND_MEMORY_MS + 3
    state.forget(applied=2)
    assert list(state.receipts) == ["id:3", "id:4"]
    state.forget(applied=9)
    assert list(state.receipts) == ["id:4"]


def test_a_key_that_is_used_again_after_its_time_counts_from_then() -> None:
    state = new_state()
    state.remember("key:k", receipt(START, 1))
    state.remember("key:l", receipt(START, 2))
    state.remember("key:k", receipt(START + KEY_MEMORY_MS, 3))
    found = state.recall("key:k", START + KEY_MEMORY_MS + 1)
    assert found is not None
    assert found.seq == 3
    assert list(state.receipts) == ["key:l", "key:k"]


# ── what a graph can store


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "64-bit"),
        (-(2**63) - 1, "64-bit"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        ("\ud800", "surrogate"),
        ("x" * 65_537, "65537 bytes"),
        ("ä" * 32_769, "65538 bytes"),
        ({"a": 1}, "type"),
        (b"x", "type"),
        ([1, "a"], "mixes"),
        ([True, 1], "mixes"),
        ([[1]], "nests"),
        (["a", "\ud800"], "surrogate"),
        ([2**63], "64-bit"),
    ],
)
def test_what_a_graph_cannot_store_is_named(value: object, problem: str) -> None:
    with pytest.raises(Rejected, match=problem) as caught:
        check_row({"fine": 1, "bad": value})
    assert caught.value.details["field"] == "bad"


@pytest.mark.parametrize(
    "value",
    [2**63 - 1, -(2**63), 0.0, "", "\x00", "\u2028😀", "x" * 65_536, [], [1, 2], None, True],
)
def test_everything_else_can_be_stored(value: object) -> None:
    check_row({"value": value})


def test_indexed_text_and_ids_are_shorter() -> None:
    check_row({"id": "x" * 1024, "name": "x" * 1024}, frozenset({"name"}))
    for name in ("id", "name"):
        with pytest.raises(Rejected, match="at most 1024"):
            check_row({name: "x" * 1025}, frozenset({"name"}))
