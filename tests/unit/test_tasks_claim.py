"""Claiming: which task an agent gets, and when it gets none."""

from collections.abc import Mapping

import pytest

from agent_orchestration.domain.agents.commands import UpdateAgent
from agent_orchestration.domain.tasks.commands import CancelTask, ClaimTask
from agent_orchestration.domain.tasks.events import TaskClaimed
from agent_orchestration.domain.tasks.index import ReadyTasks
from agent_orchestration.domain.tasks.model import Assignment
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, assign, claim, complete, fail, task


def claimed(domain: Domain, agent_id: str = "ann") -> str:
    return domain.event(claim(agent_id), TaskClaimed).task_id


def test_a_claimed_task_is_running_under_its_first_attempt() -> None:
    domain = Domain().given(agent(), task(lease_seconds=90)).pass_seconds(5)
    event = domain.event(claim(), TaskClaimed)
    assert (event.attempt, event.started) == (1, True)
    held = domain.task()
    assert (held.status, held.attempt) == ("running", 1)
    assert held.assignment == Assignment("ann", 1, START + 5000)
    assert (held.started_at, held.lease_until) == (START + 5000, START + 95_000)
    assert (domain.agent().active, domain.agent().status) == (1, "busy")


def test_one_can_claim_without_starting() -> None:
    domain = Domain().given(agent(), task())
    assert not domain.event(claim(start=False), TaskClaimed).started
    assert (domain.task().status, domain.task().started_at) == ("assigned", None)


def test_the_claimer_may_choose_its_lease_which_then_is_the_tasks() -> None:
    domain = Domain().given(agent(), task(lease_seconds=90))
    event = domain.event(ClaimTask(agent_id="ann", lease_seconds=7), TaskClaimed)
    assert (event.lease_seconds, event.lease_until) == (7, START + 7000)
    assert domain.task().lease_seconds == 7


# ── order


def test_the_most_urgent_task_comes_first() -> None:
    domain = Domain().given(agent(at_once=9), *(task(f"p{n}", priority=n) for n in (3, 1, 5, 2)))
    assert [claimed(domain) for _ in range(4)] == ["p1", "p2", "p3", "p5"]


def test_of_equally_urgent_tasks_the_oldest_comes_first() -> None:
    domain = Domain().given(agent(at_once=9), *(task(name) for name in ("z", "a", "m")))
    assert [claimed(domain) for _ in range(3)] == ["z", "a", "m"]


def test_priority_and_age_count_across_different_requirements() -> None:
    domain = Domain().given(
        agent(skills={"go": 500, "sql": 500}, at_once=9),
        task("old", {"sql": 1}),
        task("plain"),
        task("both", {"go": 1, "sql": 1}),
        task("urgent", {"go": 500}, priority=1),
    )
    assert [claimed(domain) for _ in range(4)] == ["urgent", "old", "plain", "both"]


def test_age_counts_from_creation_and_not_from_the_last_attempt() -> None:
    domain = Domain().given(agent(at_once=9), task("old"), task("young"))
    domain.given(claim(), fail("old", retry_after_ms=0))
    assert claimed(domain) == "old"


def test_age_counts_from_creation_and_not_from_becoming_ready() -> None:
    domain = Domain().given(agent(at_once=9), task("first"), task("then", after=["first"]))
    domain.given(task("young"), claim(), complete("first"))
    assert claimed(domain) == "then"


@pytest.mark.parametrize(
    ("skills", "requires", "may"),
    [
        ({}, {}, True),
        ({}, {"python": 0}, False),  # at any level, but one has to have it
        ({"python": 0}, {"python": 0}, True),
        ({"python": 800}, {"python": 800}, True),
        ({"python": 799}, {"python": 800}, False),
        ({"python": 1000}, {"python": 1000, "sql": 1}, False),
        ({"python": 1000, "sql": 1}, {"python": 1000, "sql": 1}, True),
        ({"sql": 1, "zig": 1}, {"go": 1, "zig": 1}, False),
        ({"go": 1}, {"go": 1, "zig": 0}, False),
    ],
)
def test_requirements_are_met_by_level_and_altogether(
    skills: Mapping[str, int], requires: Mapping[str, int], may: bool
) -> None:
    domain = Domain().given(agent(skills=skills), task(requires=requires))
    if may:
        assert claimed(domain) == "parse"
    else:
        assert domain.nothing(claim()) == {
            "reason": "no_ready_task",
            "levels": {**skills, "=ann": 0, "*": 0},
        }


def test_a_task_one_cannot_do_does_not_stand_in_the_way() -> None:
    domain = Domain().given(agent(), task("hard", {"python": 900}, priority=1), task("easy"))
    assert claimed(domain) == "easy"


# ── capacity


def test_nobody_gets_more_than_it_can_hold() -> None:
    domain = Domain().given(agent(at_once=2), *(task(name) for name in "abc"), claim(), claim())
    assert domain.nothing(claim()) == {"reason": "at_capacity", "active": 2}
    domain.given(complete("a"))
    assert claimed(domain) == "c"


def test_a_lowered_limit_takes_nothing_away_and_gives_nothing_new() -> None:
    domain = Domain().given(agent(at_once=2), *(task(name) for name in "abc"), claim(), claim())
    domain.given(UpdateAgent(agent_id="ann", max_concurrency=1))
    assert domain.agent().active == 2
    domain.given(complete("a"))
    assert domain.nothing(claim())["reason"] == "at_capacity"
    domain.given(complete("b"))
    assert claimed(domain) == "c"


def test_two_agents_never_get_the_same_task() -> None:
    domain = Domain().given(agent(), agent("bob"), task())
    assert claimed(domain) == "parse"
    assert domain.nothing(claim("bob"))["reason"] == "no_ready_task"


def test_blocked_held_and_finished_tasks_are_not_claimed() -> None:
    domain = Domain().given(
        agent(at_once=9),
        task("done"),
        claim(),
        complete("done"),
        task("gone"),
        CancelTask(task_id="gone"),
        task("held"),
        claim(),
        task("blocked", after=["held"]),
        task("given"),
        assign("given"),
    )
    assert domain.nothing(claim())["reason"] == "no_ready_task"


def test_the_queue_does_not_grow_with_what_has_left_it() -> None:
    domain = Domain().given(task("first", priority=1))
    for number in range(500):
        name = f"t{number}"
        domain.given(task(name), CancelTask(task_id=name))
    names = vars(domain.state.index(ReadyTasks))["_tasks"]
    assert sum(len(group.run) + len(group.rest) for _, group in names.all_groups()) < 50
