"""What is counted of a tenant's history, in numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.analytics.buckets import bucket_of, highest, percentile
from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.analytics.questions import MOST, answered
from agent_orchestration.analytics.windows import (
    ALL,
    KEPT_MS,
    LENGTH_MS,
    MOST_CAPABILITIES,
    OTHER,
    Counted,
    Fact,
    Windows,
)
from agent_orchestration.app import REGISTRY
from agent_orchestration.core.analytics import WindowsAsked
from agent_orchestration.core.errors import Rejected
from agent_orchestration.domain.agents.commands import RetireAgent
from agent_orchestration.domain.tasks.commands import CancelTask
from tests.unit.domain import START, Domain
from tests.unit.examples import (
    PYTHON,
    agent,
    claim,
    complete,
    fail,
    form,
    part,
    plan,
    reserve,
    settle,
    task,
)

MINUTE = LENGTH_MS["minute"]
DAY = START - START % LENGTH_MS["day"]
NUMBERS = st.integers(0, 2**63 - 1)


def history(domain: Domain) -> TenantHistory:
    found = TenantHistory(REGISTRY, "default")
    for event in domain.history:
        found.take(event)
    return found


def day(domain: Domain, capability: str = ALL) -> Counted:
    """What was counted on the day on which the history began."""
    window = history(domain).windows.get(("day", DAY))
    assert window is not None
    return window[capability]


@given(NUMBERS, NUMBERS)
def test_buckets_are_in_order_and_differ_by_at_most_a_sixteenth(one: int, other: int) -> None:
    assert one <= highest(bucket_of(one)) <= one + one // 16
    assert bucket_of(min(one, other)) <= bucket_of(max(one, other))
    assert bucket_of(highest(bucket_of(one))) == bucket_of(one)
    assert bucket_of(highest(bucket_of(one)) + 1) == bucket_of(one) + 1


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_never_too_low_and_at_most_a_sixteenth_too_high(
    numbers: list[int], percent: int
) -> None:
    counted = Counted()
    for number in numbers:
        counted.add("run_ms", number)
    exact = sorted(numbers)[-(-len(numbers) * percent // 100) - 1]
    found = percentile(counted.times["run_ms"], percent)
    assert found is not None
    assert exact <= found <= exact + exact // 16


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile({}, 50) is None


def test_tasks_count_by_how_they_end_and_by_what_they_ask_for() -> None:
    domain = Domain().given(agent(), task("a", PYTHON), task("b", PYTHON), task("c"))
    domain.given(claim(), complete("a"), claim(), fail("b", retryable=False))
    domain.given(CancelTask(task_id="c"))
    ended = {"tasks_completed": 1, "tasks_failed": 1}
    assert day(domain).sums == {
        "agents_registered": 1,
        "tasks_created": 3,
        "tasks_cancelled": 1,
        **ended,
    }
    assert day(domain, "python").sums == {"agents_registered": 1, "tasks_created": 2, **ended}


def test_what_an_event_brings_about_elsewhere_is_counted_too() -> None:
    domain = Domain().given(agent(), plan(part("a"), part("b", after=["a"])))
    domain.pass_seconds(10).given(claim(), CancelTask(task_id="release"))
    assert day(domain).sums["tasks_cancelled"] == 2  # the plan is none of them
    assert day(domain).sums["tasks_created"] == 2


def test_a_task_is_in_the_queue_from_when_it_was_ready_for_every_attempt() -> None:
    domain = Domain().given(agent(), agent("bob"), task("a"), task("b", after=["a"]))
    domain.pass_seconds(2).given(claim())
    domain.pass_seconds(5).given(complete("a"))  # now b is ready
    domain.pass_seconds(3).given(claim())
    domain.pass_seconds(1).given(RetireAgent(agent_id="ann", force=True))  # and once more
    domain.pass_seconds(7).given(claim("bob"))
    domain.pass_seconds(4).given(complete("b", "bob", 2))
    assert day(domain).times == {
        "queue_ms": {bucket_of(2000): 1, bucket_of(3000): 1, bucket_of(7000): 1},
        "run_ms": {bucket_of(5000): 1, bucket_of(4000): 1},
    }


def test_tokens_count_for_what_the_task_asked_for_also_when_that_is_over() -> None:
    domain = Domain().given(agent(), task("parse", PYTHON), claim(), reserve(), complete())
    domain.given(settle())
    sums = day(domain, "python").sums
    assert sums["calls"] == 1
    assert sums["cost_micros"] == domain.spend().cost_micros > 0
    assert sums["input_tokens"] == domain.spend().prompt_tokens > 0
    assert sums["output_tokens"] == domain.spend().completion_tokens > 0


def test_teams_count_when_they_are_formed_and_when_they_are_refused_once_each() -> None:
    counted = history(Domain().given(agent(), form(members=["ann"])))
    for offset in (7, 7, 8, 7):
        counted.refuse("FormTeam", (1, offset), START)
    counted.refuse("CreateTask", (1, 9), START)
    window = counted.windows.get(("day", DAY))
    assert window is not None
    assert (window[ALL].sums["teams_formed"], window[ALL].sums["teams_refused"]) == (1, 2)


def test_windows_are_kept_for_their_time_and_what_is_late_goes_to_its_own() -> None:
    windows = Windows()
    fact = [Fact("tasks_created", 1, ())]
    windows.add(START, fact)
    windows.add(START + 10 * MINUTE, fact)
    windows.add(START, fact)
    first = ("minute", START - START % MINUTE)
    assert windows.get(first) == {ALL: Counted({"tasks_created": 2})}
    windows.changed.clear()
    windows.add(START + KEPT_MS["minute"] + MINUTE, fact)
    assert windows.get(first) is None
    assert first in windows.changed
    windows.add(START, fact)
    assert windows.get(first) is None
    hour = windows.get(("hour", START - START % LENGTH_MS["hour"]))
    assert hour == {ALL: Counted({"tasks_created": 4})}


def test_a_window_names_so_many_capabilities_and_counts_the_rest_together() -> None:
    windows = Windows()
    for number in range(MOST_CAPABILITIES + 5):
        windows.add(START, [Fact("tasks_created", 1, (f"c{number}",))])
    window = windows.get(("day", DAY))
    assert window is not None
    assert len(window) == MOST_CAPABILITIES + 2
    assert window[OTHER].sums == {"tasks_created": 5}
    assert window[ALL].sums == {"tasks_created": MOST_CAPABILITIES + 5}


def test_an_answer_has_the_windows_that_begin_in_the_time_asked_for_and_their_total() -> None:
    domain = Domain().given(task("a")).pass_seconds(60).given(task("b")).pass_seconds(60)
    counted = history(domain.given(task("c")))
    first = START - START % MINUTE
    asked = WindowsAsked("default", "minute", since=first + 1, until=first + 2 * MINUTE + 1)
    answer = answered(counted, asked)
    assert [window["start"] for window in answer["windows"]] == [first + MINUTE, first + 2 * MINUTE]
    assert answer["total"]["sums"] == {"tasks_created": 2}
    assert answer["seq"] == 3
    assert len(answered(counted, WindowsAsked("default", "minute"))["windows"]) == 3
    assert answered(counted, WindowsAsked("default", "day", capability="x"))["windows"] == []
    assert answered(None, asked)["windows"] == []


@pytest.mark.parametrize(
    ("since", "until", "field"),
    [(1, 0, "until"), (0, (MOST + 1) * MINUTE, "since")],
)
def test_a_time_that_cannot_be_answered_is_refused(since: int, until: int, field: str) -> None:
    with pytest.raises(Rejected) as refused:
        answered(None, WindowsAsked("default", "minute", since=since, until=until))
    assert refused.value.details["field"] == field
