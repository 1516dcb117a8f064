"""Failing: when another attempt follows, and how long that takes."""

from itertools import pairwise

import pytest

from agent_orchestration.core.folding import RULES
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import RetireAgent
from agent_orchestration.domain.tasks.commands import ExpireLease, FailTask, ReleaseTask
from agent_orchestration.domain.tasks.events import TaskClaimed, TaskFailed, TaskReleased
from agent_orchestration.domain.tasks.model import WORKER_STOPPED, Assignment, RetryPolicy
from agent_orchestration.domain.tenants.commands import RaiseRules
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, claim, complete, fail, task


def running(retry: RetryPolicy | None = None, task_id: str = "parse", rules: int = RULES) -> Domain:
    return Domain(rules=rules).given(agent(), task(task_id, retry=retry), claim())


def delays(retry: RetryPolicy, attempts: int, task_id: str = "parse") -> list[int]:
    """The milliseconds between each failure and the next attempt."""
    domain = running(retry, task_id)
    found: list[int] = []
    for attempt in range(1, attempts + 1):
        event = domain.event(fail(task_id, attempt=attempt), TaskFailed)
        assert event.retry_at is not None
        found.append(event.retry_at - domain.now)
        domain.pass_seconds(found[-1] / 1000)
        domain.given(ReleaseTask(task_id=task_id, attempt=attempt), claim())
        assert domain.task(task_id).attempt == attempt + 1
    return found


# ── another attempt


def test_a_failed_attempt_frees_the_agent_and_is_followed_by_another_later() -> None:
    domain = running()
    event = domain.event(fail(), TaskFailed)
    waiting = domain.task()
    assert (waiting.status, waiting.retry_at) == ("blocked", event.retry_at)
    assert (waiting.assignment, waiting.lease_until) == (None, None)
    assert (waiting.error, waiting.error_type) == ("it broke", "error")
    assert waiting.reason == "attempt 1 failed"
    assert domain.agent().active == 0
    assert domain.nothing(claim())["reason"] == "no_ready_task"


def test_an_attempt_can_fail_before_it_started() -> None:
    domain = Domain().given(agent(), task(), claim(start=False))
    assert domain.event(fail(), TaskFailed).attempt == 1


def test_delays_double_from_one_second_up_to_the_longest() -> None:
    found = delays(RetryPolicy(), 10)
    without_jitter = [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, *[100_000] * 3]
    for delay, least in zip(found, without_jitter, strict=True):
        assert least <= delay <= least * 1.1


@pytest.mark.parametrize(
    ("retry", "least"),
    [
        (RetryPolicy(initial_ms=500, factor=3), [500, 1500, 4500, 13_500]),
        (RetryPolicy(initial_ms=500, factor=1), [500, 500, 500, 500]),
        (RetryPolicy(initial_ms=5000, max_ms=700), [700, 700, 700, 700]),
        (RetryPolicy(initial_ms=5, factor=100, max_ms=31_536_000_000), [5, 500, 50_000, 5_000_000]),
    ],
)
def test_the_policy_says_how_delays_grow(retry: RetryPolicy, least: list[int]) -> None:
    for delay, expected in zip(delays(retry, len(least)), least, strict=True):
        assert expected <= delay <= expected * 1.1


@pytest.mark.parametrize("retry", [RetryPolicy(initial_ms=0), RetryPolicy(max_ms=0)])
def test_without_delay_the_task_is_ready_at_once(retry: RetryPolicy) -> None:
    domain = running(retry)
    assert domain.event(fail(), TaskFailed).retry_at == domain.now
    assert (domain.task().status, domain.task().retry_at) == ("ready", None)
    assert domain.event(claim(), TaskClaimed).attempt == 2


def test_the_thousandth_delay_is_the_longest() -> None:
    domain = running(RetryPolicy(initial_ms=1, factor=100, max_ms=1000))
    for attempt in range(1, 1000):
        domain.given(fail(attempt=attempt, retry_after_ms=0), claim())
    event = domain.event(fail(attempt=1000), TaskFailed)
    assert event.retry_at is not None
    assert 1000 <= event.retry_at - domain.now <= 1100


def test_jitter_differs_between_tasks_and_attempts_and_is_the_same_every_time() -> None:
    retry = RetryPolicy(initial_ms=1_000_000, factor=1, max_ms=1_000_000)
    first = {name: delays(retry, 3, name) for name in ("a", "b", "c")}
    assert first == {name: delays(retry, 3, name) for name in ("a", "b", "c")}
    spread = {delay for found in first.values() for delay in found}
    assert len(spread) == 9
    assert all(1_000_000 <= delay <= 1_100_000 for delay in spread)


# ── no other attempt


def failed_for_good(domain: Domain, command: Command) -> bool:
    event = domain.event(command, TaskFailed)
    assert (event.retry_at is None) == (domain.task().status == "failed")
    return event.retry_at is None


def test_attempts_end_when_the_policy_says() -> None:
    domain = running(RetryPolicy(initial_ms=0, max_attempts=3))
    assert not failed_for_good(domain, fail())
    assert not failed_for_good(domain.given(claim()), fail(attempt=2))
    assert failed_for_good(domain.given(claim()), fail(attempt=3))
    ended = domain.task()
    assert (ended.finished_at, ended.reason) == (START, "attempt 3 failed")
    assert ended.assignment == Assignment("ann", 3, START)
    assert domain.agent().active == 0


def test_some_errors_are_never_retried() -> None:
    retry = RetryPolicy(non_retryable=("bad_input", "forbidden"))
    assert failed_for_good(running(retry), fail(error_type="forbidden"))
    assert not failed_for_good(running(retry), fail(error_type="time_out"))


def test_the_holder_may_know_that_trying_again_is_in_vain() -> None:
    assert failed_for_good(running(), fail(retryable=False))


def test_the_holder_may_know_better_how_long_to_wait() -> None:
    domain = running()
    assert domain.event(fail(retry_after_ms=123_456), TaskFailed).retry_at == START + 123_456


def test_knowing_how_long_to_wait_makes_no_error_retryable() -> None:
    retry = RetryPolicy(max_attempts=1)
    assert failed_for_good(running(retry), fail(retry_after_ms=5))
    assert failed_for_good(running(), fail(retryable=False, retry_after_ms=5))


def test_failing_for_good_again_is_harmless() -> None:
    domain = running().given(fail(retryable=False))
    answer = domain.nothing(fail())
    assert answer == {"task_id": "parse", "status": "failed", "attempt": 1}
    assert domain.refused(fail(agent_id="bob")).code == "wrong_status"


def test_failing_again_while_the_next_attempt_waits_is_fenced_and_changes_nothing() -> None:
    domain = running().given(fail())
    assert domain.refused(fail()).code == "fenced"


# ── giving back


ONCE = RetryPolicy(max_attempts=1)


def give_back(attempt: int = 1, agent_id: str = "ann") -> FailTask:
    return fail(attempt=attempt, agent_id=agent_id, error_type=WORKER_STOPPED)


def test_a_task_that_its_worker_gives_back_is_ready_at_once_for_anybody() -> None:
    domain = running(ONCE).given(agent("bob"))
    event = domain.event(give_back(), TaskFailed)
    assert event.retry_at == domain.now
    free = domain.task()
    assert (free.status, free.attempt, free.given_back) == ("ready", 1, 1)
    assert (free.reason, free.error_type) == ("attempt 1 was given back", WORKER_STOPPED)
    assert domain.agent().active == 0
    assert domain.refused(complete()).code == "fenced"
    assert domain.event(claim("bob"), TaskClaimed).attempt == 2


def test_attempts_that_were_given_back_do_not_count_and_all_others_do() -> None:
    domain = running(RetryPolicy(initial_ms=0, max_attempts=2))
    domain.given(give_back(), claim(), give_back(2), claim())
    assert not failed_for_good(domain, fail(attempt=3))
    domain.given(claim(), give_back(4), claim())
    assert failed_for_good(domain, fail(attempt=5))
    assert (domain.task().given_back, domain.task().counted) == (3, 2)


def test_a_task_may_be_given_back_for_ever() -> None:
    domain = running(ONCE)
    for attempt in range(1, 50):
        domain.given(give_back(attempt), claim())
    assert (domain.task().status, domain.task().attempt) == ("running", 50)


def test_a_task_can_be_given_back_before_it_started() -> None:
    domain = Domain().given(agent(), task(retry=ONCE), claim(start=False), give_back())
    assert (domain.task().status, domain.task().given_back) == ("ready", 1)


def test_the_lease_that_runs_out_after_an_attempt_was_given_back_counts() -> None:
    domain = running(ONCE).given(give_back(), claim()).pass_seconds(60).given(expire(2))
    assert (domain.task().status, domain.task().error_type) == ("failed", "lease_expired")
    domain = running(RetryPolicy(max_attempts=2)).given(give_back(), claim()).pass_seconds(60)
    assert domain.given(expire(2)).task().status == "ready"
    assert domain.given(claim()).pass_seconds(60).given(expire(3)).task().status == "failed"


def test_what_a_retired_agent_held_counts_as_an_attempt_and_goes_on() -> None:
    domain = running(ONCE).given(give_back(), claim(), agent("bob"))
    domain.given(RetireAgent(agent_id="ann", force=True))
    assert (domain.task().status, domain.task().given_back) == ("ready", 1)
    domain.given(claim("bob"), give_back(3, "bob"), claim("bob"))
    assert failed_for_good(domain, fail(agent_id="bob", attempt=4))


def test_delays_grow_with_the_attempts_that_count() -> None:
    retry = RetryPolicy(initial_ms=1000, factor=10, max_ms=10**9)
    domain = running(retry).given(give_back(), claim(), give_back(2), claim())
    event = domain.event(fail(attempt=3), TaskFailed)
    assert event.retry_at is not None
    assert 1000 <= event.retry_at - domain.now <= 1100


def test_who_gives_back_may_know_better_how_long_to_wait() -> None:
    command = fail(error_type=WORKER_STOPPED, retry_after_ms=5000)
    assert running(ONCE).event(command, TaskFailed).retry_at == START + 5000


def test_giving_back_makes_nothing_retryable_that_is_not() -> None:
    assert failed_for_good(running(RetryPolicy(non_retryable=(WORKER_STOPPED,))), give_back())
    assert failed_for_good(running(), fail(error_type=WORKER_STOPPED, retryable=False))


def test_under_the_first_rules_a_task_given_back_has_used_up_an_attempt() -> None:
    assert failed_for_good(running(ONCE, rules=1), give_back())
    domain = running(rules=1)
    event = domain.event(give_back(), TaskFailed)
    assert event.retry_at is not None
    assert event.retry_at > domain.now
    assert (domain.task().given_back, domain.task().reason) == (None, "attempt 1 failed")


def test_raised_rules_count_from_then_on() -> None:
    domain = running(RetryPolicy(initial_ms=0, max_attempts=2), rules=1).given(give_back(), claim())
    domain.given(RaiseRules(rules=2), give_back(2), claim())
    assert (domain.task().attempt, domain.task().given_back) == (3, 1)
    assert failed_for_good(domain, fail(attempt=3))


# ── leases


def expire(attempt: int = 1) -> ExpireLease:
    return ExpireLease(task_id="parse", attempt=attempt)


def test_a_lease_that_still_runs_does_not_expire() -> None:
    domain = running().pass_seconds(59.999)
    assert domain.nothing(expire()) == {}


@pytest.mark.parametrize("start", [True, False])
def test_a_lease_that_ran_out_gives_the_task_to_others(start: bool) -> None:
    domain = Domain().given(agent(), agent("bob"), task(), claim(start=start)).pass_seconds(60)
    domain.given(expire())
    free = domain.task()
    assert (free.status, free.assignment, free.lease_until) == ("ready", None, None)
    assert free.reason == "the lease of attempt 1 by ann ran out"
    assert domain.agent().active == 0
    assert domain.refused(complete()).code == "fenced"
    assert domain.event(claim("bob"), TaskClaimed).attempt == 2
    assert domain.refused(complete()).code == "fenced"


def test_an_expiry_of_an_earlier_attempt_is_stale() -> None:
    domain = running().given(fail(retry_after_ms=0), claim()).pass_seconds(600)
    assert domain.nothing(expire(1)) == {}
    assert domain.nothing(expire(3)) == {}
    domain.given(expire(2))
    assert domain.task().status == "ready"


def test_what_nobody_holds_does_not_expire() -> None:
    assert Domain().nothing(expire()) == {}
    for domain in (
        Domain().given(task()),
        running().given(fail()),
        running().given(complete()),
    ):
        assert domain.pass_seconds(600).nothing(expire()) == {}


def test_an_expired_lease_counts_as_an_attempt() -> None:
    domain = running(RetryPolicy(max_attempts=2)).pass_seconds(60).given(expire(), claim())
    domain.pass_seconds(60).given(expire(2))
    ended = domain.task()
    assert (ended.status, ended.error_type) == ("failed", "lease_expired")
    assert ended.error == ended.reason == "the lease of attempt 2 by ann ran out"
    assert ended.assignment == Assignment("ann", 2, START + 60_000)
    assert domain.agent().active == 0


# ── release


def release(attempt: int = 1) -> ReleaseTask:
    return ReleaseTask(task_id="parse", attempt=attempt)


def test_a_task_is_released_when_its_delay_is_over() -> None:
    domain = running().given(fail(retry_after_ms=5000)).pass_seconds(4.999)
    assert domain.nothing(release()) == {}
    domain.pass_seconds(0.001)
    assert domain.event(release(), TaskReleased).task_id == "parse"
    assert (domain.task().status, domain.task().retry_at) == ("ready", None)
    assert domain.nothing(release()) == {}


def test_only_the_attempt_that_failed_is_released() -> None:
    domain = running().given(fail(retry_after_ms=5000)).pass_seconds(10)
    assert domain.nothing(release(2)) == {}


def test_a_release_does_not_let_dependents_run_early() -> None:
    domain = Domain().given(task(), task("next", after=["parse"])).pass_seconds(1e6)
    assert domain.nothing(ReleaseTask(task_id="next", attempt=1)) == {}


def test_what_does_not_wait_is_not_released() -> None:
    assert Domain().nothing(release()) == {}
    for domain in (running(), running().given(complete())):
        assert domain.pass_seconds(600).nothing(release()) == {}


def test_attempts_are_numbered_without_gaps() -> None:
    domain = running(RetryPolicy(initial_ms=0))
    numbers = [1]
    for _ in range(5):
        domain.given(fail(attempt=numbers[-1]))
        numbers.append(domain.event(claim(), TaskClaimed).attempt)
    assert all(after == before + 1 for before, after in pairwise(numbers))
