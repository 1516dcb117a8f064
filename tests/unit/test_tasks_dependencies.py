"""Dependencies: who becomes ready, stays blocked or is cancelled, however far away."""

import pytest

from agent_orchestration.core.messages import Command
from agent_orchestration.domain.tasks.commands import CancelTask, ExpireLease
from agent_orchestration.domain.tasks.model import EdgePolicy, RetryPolicy
from tests.unit.domain import Domain
from tests.unit.examples import agent, claim, complete, edge, fail, task

GIVE_UP = RetryPolicy(max_attempts=1)
MANY = 1000


def cancel(task_id: str) -> CancelTask:
    return CancelTask(task_id=task_id)


def company(*commands: Command) -> Domain:
    return Domain().given(agent(at_once=10_000), *commands)


def ends_badly(domain: Domain, status: str, task_id: str = "parse") -> Domain:
    """The task fails or is cancelled, whoever depends on it."""
    if status == "cancelled":
        return domain.given(cancel(task_id))
    return domain.given(claim(), fail(task_id, retryable=False))


# ── one dependency


def test_a_task_is_ready_once_what_it_waits_for_is_completed() -> None:
    domain = company(task(), task("next", after=["parse"]))
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("blocked", 1)
    domain.given(claim())
    assert domain.task("next").status == "blocked"
    domain.given(complete())
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("ready", 0)


def test_a_task_waits_for_all_it_depends_on() -> None:
    domain = company(task("a"), task("b"), task("next", after=["a", "b"]), claim(), claim())
    domain.given(complete("b"))
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("blocked", 1)
    domain.given(complete("a"))
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("ready", 0)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize(
    ("policy", "status_of_next", "reason"),
    [
        ("block", "blocked", "dependency parse {}"),
        ("cancel", "cancelled", "dependency parse {}"),
        ("continue", "ready", None),
    ],
)
def test_each_edge_says_what_a_bad_end_means(
    status: str, policy: EdgePolicy, status_of_next: str, reason: str | None
) -> None:
    domain = company(task(), task("next", after=[edge("parse", policy)]))
    ends_badly(domain, status)
    after = domain.task("next")
    assert after.status == status_of_next
    assert after.reason == (reason.format(status) if reason else None)
    assert after.waiting_on == (0 if policy == "continue" else 1)
    assert (after.finished_at is not None) == (policy == "cancel")


def test_an_attempt_that_will_be_retried_ends_nothing() -> None:
    domain = company(task(), task("next", after=[edge("parse", "cancel")]), claim(), fail())
    assert domain.statuses() == {"parse": "blocked", "next": "blocked"}


def test_a_lease_that_ran_out_for_the_last_time_counts_as_failure() -> None:
    domain = company(task(retry=GIVE_UP), task("next", after=[edge("parse", "cancel")]), claim())
    domain.pass_seconds(60).given(ExpireLease(task_id="parse", attempt=1))
    assert domain.statuses() == {"parse": "failed", "next": "cancelled"}


def test_a_failed_dependency_never_counts_as_met() -> None:
    domain = company(task("bad"), task("good"), task("next", after=["bad", "good"]))
    ends_badly(domain, "failed", "bad").given(claim(), complete("good"))
    waiting = domain.task("next")
    assert (waiting.status, waiting.waiting_on) == ("blocked", 1)
    assert waiting.reason == "dependency bad failed"


def test_what_waits_in_vain_can_still_be_cancelled() -> None:
    domain = company(task(), task("next", after=["parse"]), task("last", after=["next"]))
    ends_badly(domain, "failed").given(cancel("next"))
    assert domain.statuses() == {"parse": "failed", "next": "cancelled", "last": "blocked"}
    assert domain.task("last").reason == "dependency next cancelled"


def test_what_goes_on_after_a_failure_still_waits_for_the_others() -> None:
    domain = company(
        task("bad"), task("good"), task("next", after=[edge("bad", "continue"), "good"])
    )
    ends_badly(domain, "failed", "bad")
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("blocked", 1)
    domain.given(claim(), complete("good"))
    assert domain.task("next").status == "ready"


def test_a_cancelled_dependent_is_not_woken_by_its_other_dependencies() -> None:
    domain = company(task("a"), task("b"), task("next", after=["a", "b"]), cancel("next"))
    domain.given(claim(), complete("a"), claim(), complete("b"))
    assert domain.task("next").status == "cancelled"


def test_a_task_that_was_unblocked_is_not_touched_again() -> None:
    domain = company(task("a"), task("next", after=["a"]), claim(), complete("a"))
    domain.given(claim(), fail("next"))
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("blocked", 0)


# ── shapes


def diamond(left: EdgePolicy, right: EdgePolicy) -> Domain:
    """top; left and right after it; bottom after both, waiting in any case."""
    return company(
        task("top"),
        task("left", after=[edge("top", left)]),
        task("right", after=[edge("top", right)]),
        task("bottom", after=["left", "right"]),
    )


def test_the_bottom_of_a_diamond_waits_for_both_sides() -> None:
    domain = diamond("block", "block").given(claim(), complete("top"), claim(), claim())
    assert domain.given(complete("left")).task("bottom").status == "blocked"
    assert domain.given(complete("right")).task("bottom").status == "ready"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("block", "block", ["failed", "blocked", "blocked", "blocked"]),
        ("cancel", "block", ["failed", "cancelled", "blocked", "blocked"]),
        ("cancel", "cancel", ["failed", "cancelled", "cancelled", "blocked"]),
        ("continue", "cancel", ["failed", "ready", "cancelled", "blocked"]),
        ("continue", "continue", ["failed", "ready", "ready", "blocked"]),
    ],
)
def test_a_failure_at_the_top_of_a_diamond(
    left: EdgePolicy, right: EdgePolicy, expected: list[str]
) -> None:
    domain = ends_badly(diamond(left, right), "failed", "top")
    assert list(domain.statuses().values()) == expected


@pytest.mark.parametrize("bottom", ["bottom", "z-bottom"])
def test_a_task_reached_on_two_ways_is_cancelled_once(bottom: str) -> None:
    domain = company(
        task("top"),
        task("left", after=[edge("top", "cancel")]),
        task(bottom, after=[edge("left", "cancel"), edge("top", "cancel")]),
        task("below", after=[edge(bottom, "continue")]),
    )
    ends_badly(domain, "failed", "top")
    assert domain.statuses()[bottom] == "cancelled"
    assert (domain.task("below").status, domain.task("below").waiting_on) == ("ready", 0)


def test_a_task_that_goes_on_and_is_cancelled_by_the_same_event_is_cancelled() -> None:
    domain = company(
        task("top"),
        task("left", after=[edge("top", "cancel")]),
        task("both", after=[edge("top", "continue"), edge("left", "cancel")]),
    )
    ends_badly(domain, "failed", "top")
    assert domain.statuses()["both"] == "cancelled"


def test_a_task_whose_dependencies_all_fail_in_one_event_goes_on_if_it_does_not_mind() -> None:
    domain = company(
        task("top"),
        task("left", after=[edge("top", "cancel")]),
        task("both", after=[edge("top", "continue"), edge("left", "continue")]),
    )
    ends_badly(domain, "failed", "top")
    assert (domain.task("both").status, domain.task("both").waiting_on) == ("ready", 0)


def chain(policy: EdgePolicy) -> Domain:
    tasks = [task("t0")]
    tasks += [task(f"t{n}", after=[edge(f"t{n - 1}", policy)]) for n in range(1, MANY)]
    return company(*tasks)


def test_a_cancellation_runs_down_a_long_chain_in_one_event() -> None:
    domain = chain("cancel")
    before = len(domain.history)
    ends_badly(domain, "failed", "t0")
    assert len(domain.history) == before + 2
    assert list(domain.statuses().values()) == ["failed", *["cancelled"] * (MANY - 1)]


def test_a_long_chain_that_blocks_stops_at_the_first() -> None:
    domain = ends_badly(chain("block"), "failed", "t0")
    assert list(domain.statuses().values()) == ["failed", *["blocked"] * (MANY - 1)]
    assert domain.task("t1").reason == "dependency t0 failed"
    assert domain.task("t2").reason is None


def test_a_long_chain_is_done_one_after_another() -> None:
    domain = chain("block")
    for number in range(MANY):
        domain.given(claim(), complete(f"t{number}"))
    assert set(domain.statuses().values()) == {"completed"}


@pytest.mark.parametrize(
    ("policy", "status"), [("block", "blocked"), ("cancel", "cancelled"), ("continue", "ready")]
)
def test_one_failure_reaches_a_thousand_dependents(policy: EdgePolicy, status: str) -> None:
    domain = company(
        task("top"), *(task(f"t{n}", after=[edge("top", policy)]) for n in range(MANY))
    )
    ends_badly(domain, "failed", "top")
    assert list(domain.statuses().values()) == ["failed", *[status] * MANY]


def test_one_completion_readies_a_thousand_dependents_and_a_thousand_lead_to_one() -> None:
    names = [f"t{n}" for n in range(MANY)]
    domain = company(task("top"), *(task(n, after=["top"]) for n in names))
    domain.given(task("end", after=names), claim(), complete("top"))
    assert domain.task("end").waiting_on == MANY
    for name in names:
        assert domain.task(name).status == "ready"
        domain.given(claim(), complete(name))
    assert (domain.task("end").status, domain.task("end").waiting_on) == ("ready", 0)
