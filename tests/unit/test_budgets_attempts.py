"""What was reserved and never settled when its attempt ends: it counts in full, until somebody says
what it cost."""

import pytest

from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import RetireAgent
from agent_orchestration.domain.budgets.commands import SetBudget
from agent_orchestration.domain.budgets.events import SpendReleased, SpendReserved, SpendSettled
from agent_orchestration.domain.budgets.index import OpenSpends
from agent_orchestration.domain.tasks.commands import CancelTask, ExpireLease
from agent_orchestration.domain.tasks.model import RetryPolicy
from tests.unit.domain import Domain, replay, snapshot
from tests.unit.examples import (
    agent,
    claim,
    complete,
    fail,
    part,
    plan,
    release,
    reserve,
    settle,
    task,
)

TENANT = SetBudget(limit_micros=1000)
EXPIRE = ExpireLease(task_id="parse", attempt=1)
ENDS: dict[str, Command] = {
    "completed": complete(),
    "failed for good": fail(retryable=False),
    "failed, with another attempt": fail(),
    "given back": fail(error_type="worker_stopped"),
    "lease ran out": EXPIRE,
    "cancelled": CancelTask(task_id="parse"),
    "agent retired": RetireAgent(agent_id="ann", force=True),
}


def reserved() -> Domain:
    """Ann holds `parse` and reserved 100 for each of two calls, one of which was settled."""
    domain = Domain().given(TENANT, agent(), agent("bob"), task(), claim())
    return domain.given(reserve(), reserve("done"), settle("done")).pass_seconds(61)


def amounts(domain: Domain) -> tuple[int, int]:
    budget = domain.budget()
    return budget.spent_micros, budget.reserved_micros


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_however_an_attempt_ends_what_is_reserved_counts_in_full(end: Command) -> None:
    domain = reserved().given(end)
    spend = domain.spend()
    assert (spend.status, spend.cost_micros, spend.is_live()) == ("unconfirmed", 100, True)
    assert domain.spend("done").status == "settled"
    assert amounts(domain) == (160, 0)
    assert domain.state.index(OpenSpends).of("parse") == ()
    assert snapshot(replay(domain.history)) == snapshot(domain.state)


def test_the_last_attempt_that_is_lost_ends_like_any_other() -> None:
    domain = Domain().given(TENANT, agent(), task(retry=RetryPolicy(max_attempts=1)), claim())
    domain.given(reserve()).pass_seconds(61).given(EXPIRE)
    assert (domain.task().status, domain.spend().status) == ("failed", "unconfirmed")


def test_a_plan_that_is_cancelled_ends_what_its_tasks_reserved() -> None:
    domain = Domain().given(TENANT, agent(), plan(part("a"), part("b")), claim())
    domain.given(reserve(task_id="release.a"), CancelTask(task_id="release"))
    assert (domain.spend().status, amounts(domain)) == ("unconfirmed", (100, 0))


@pytest.mark.parametrize("cost", [0, 60, 100, 130])
def test_what_it_cost_may_be_said_late(cost: int) -> None:
    domain = reserved().given(EXPIRE, claim("bob"))
    event = domain.event(settle(cost=cost), SpendSettled)
    assert event.overrun_micros == max(cost - 100, 0)
    assert amounts(domain) == (60 + cost, 0)
    assert not domain.spend().is_live()


def test_that_there_was_no_call_may_be_said_late() -> None:
    domain = reserved().given(EXPIRE)
    domain.event(release(), SpendReleased)
    assert (domain.spend().cost_micros, amounts(domain)) == (0, (60, 0))


def test_the_next_attempt_reserves_for_itself() -> None:
    domain = reserved().given(EXPIRE, claim("bob"))
    assert domain.refused(reserve("again")).code == "fenced"
    domain.event(reserve("again", agent_id="bob", attempt=2), SpendReserved)
    assert amounts(domain) == (160, 100)


def test_reserving_again_after_the_attempt_says_what_became_of_it() -> None:
    assert reserved().given(EXPIRE).nothing(reserve())["status"] == "unconfirmed"
