"""Budgets: what is set, what is reserved before a call, and what it costs after."""

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.errors import NotFound
from agent_orchestration.domain.budgets.commands import SetBudget
from agent_orchestration.domain.budgets.events import (
    BudgetSet,
    SpendReleased,
    SpendReserved,
    SpendSettled,
)
from agent_orchestration.domain.budgets.model import MOST_LIMIT, MOST_MICROS, Budget, OnExceeded
from agent_orchestration.domain.teams.commands import DisbandTeam
from tests.unit.domain import START, Domain, replay, snapshot
from tests.unit.examples import agent, claim, form, part, plan, release, reserve, settle, task


def limit(
    micros: int,
    *,
    team_id: str | None = None,
    agent_id: str | None = None,
    task_id: str | None = None,
    on_exceeded: OnExceeded | None = None,
) -> SetBudget:
    return SetBudget(
        team_id=team_id,
        agent_id=agent_id,
        task_id=task_id,
        limit_micros=micros,
        on_exceeded=on_exceeded,
    )


def working() -> Domain:
    """Ann holds `parse`."""
    return Domain().given(agent(), task(), claim())


def amounts(budget: Budget) -> tuple[int, int]:
    return budget.spent_micros, budget.reserved_micros


# ── setting


@pytest.mark.parametrize(
    ("command", "budget_id", "scope"),
    [
        (limit(5), "tenant", "tenant"),
        (limit(5, team_id="crew"), "team:crew", "team"),
        (limit(5, agent_id="ann"), "agent:ann", "agent"),
        (limit(5, task_id="parse"), "task:parse", "task"),
    ],
)
def test_everything_has_one_budget_at_most(command: SetBudget, budget_id: str, scope: str) -> None:
    domain = Domain().given(agent(), task(), form(members=["ann"]))
    event = domain.event(command, BudgetSet)
    assert event.reply() == {"budget_id": budget_id}
    budget = domain.budget(budget_id)
    assert (budget.scope, budget.limit_micros, budget.on_exceeded) == (scope, 5, "stop")
    assert budget.set_at == START
    domain.given(msgspec.structs.replace(command, limit_micros=7))
    assert domain.budget(budget_id).limit_micros == 7


def test_a_limit_that_is_changed_leaves_the_rest_as_it_was() -> None:
    domain = working().given(limit(100, on_exceeded="ask"), reserve(amount=40), limit(10))
    budget = domain.budget()
    assert (budget.limit_micros, budget.on_exceeded, amounts(budget)) == (10, "ask", (0, 40))
    domain.given(limit(10, on_exceeded="pause"))
    assert domain.budget().on_exceeded == "pause"


def test_setting_what_is_set_is_nothing_to_do() -> None:
    domain = Domain().given(limit(5, on_exceeded="ask"))
    for command in (limit(5), limit(5, on_exceeded="ask")):
        assert domain.nothing(command) == {"budget_id": "tenant"}


@pytest.mark.parametrize("field", ["team_id", "agent_id", "task_id"])
def test_what_is_limited_must_be_known(field: str) -> None:
    refused = Domain().refused(msgspec.structs.replace(limit(5), **{field: "ghost"}))
    assert isinstance(refused, NotFound)
    assert (refused.code, refused.details["field"]) == (f"unknown_{field[:-3]}", field)


def test_a_budget_is_for_one_thing() -> None:
    refused = working().refused(limit(5, agent_id="ann", task_id="parse"))
    assert (refused.code, refused.details["field"]) == ("invalid_argument", "task_id")


@pytest.mark.parametrize("micros", [-1, MOST_LIMIT + 1, 0.5, True, "5"])
def test_a_limit_is_an_amount_of_money(micros: object) -> None:
    body = msgspec.json.encode({"limit_micros": micros})
    with pytest.raises(msgspec.ValidationError):
        REGISTRY.decode_command(SetBudget.__name__, body)


# ── reserving


def test_without_any_budget_everything_is_allowed_and_counted() -> None:
    domain = working().pass_seconds(3)
    event = domain.event(reserve(amount=MOST_MICROS), SpendReserved)
    assert (event.budget_ids, event.team_id) == ((), None)
    assert event.reply() == {"spend_id": "call"}
    spend = domain.spend()
    assert (spend.status, spend.reserved_micros, spend.cost_micros) == ("reserved", MOST_MICROS, 0)
    assert (spend.task_id, spend.agent_id, spend.attempt) == ("parse", "ann", 1)
    assert (spend.model, spend.at) == ("m-1", START + 3000)


def test_one_event_reserves_at_every_level_that_applies() -> None:
    others = (limit(0, task_id="other"), limit(0, agent_id="bob"), limit(0, team_id="rest"))
    domain = Domain().given(
        *(agent(), agent("bob"), form(members=["ann"]), form("rest", members=["bob"])),
        *(plan(part("a"), team="crew"), task("other"), claim(), *others),
        *(limit(500), limit(400, team_id="crew"), limit(300, agent_id="ann")),
        *(limit(200, task_id="release"), limit(100, task_id="release.a")),
    )
    event = domain.event(reserve(task_id="release.a"), SpendReserved)
    charged = ("agent:ann", "task:release", "task:release.a", "team:crew", "tenant")
    assert (event.budget_ids, event.team_id) == (charged, "crew")
    reserved = {one.id for one in domain.state.all(Budget) if one.reserved_micros == 100}
    assert reserved == {*charged}
    assert domain.refused(reserve("more", 1, task_id="release.a")).details["scope"] == "task"


@pytest.mark.parametrize(
    "scope", ["tenant", "team:crew", "agent:ann", "task:release", "task:release.a"]
)
def test_every_level_alone_refuses(scope: str) -> None:
    kind, _, whose = scope.partition(":")
    domain = Domain().given(
        *(agent(), form(members=["ann"]), plan(part("a"), team="crew"), claim()),
        limit(150, **({f"{kind}_id": whose} if whose else {}), on_exceeded="pause"),
        reserve(task_id="release.a"),
    )
    refused = domain.refused(reserve("next", 51, task_id="release.a"))
    assert refused.code == "budget_exceeded"
    assert refused.details == {
        "field": "amount_micros",
        "budget_id": scope,
        "scope": kind,
        "limit_micros": 150,
        "left_micros": 50,
        "on_exceeded": "pause",
    }
    assert "limit 150, spent 0, reserved 100" in refused.reason
    domain.event(reserve("next", 50, task_id="release.a"), SpendReserved)


def test_of_several_exceeded_budgets_the_strictest_says_what_to_do() -> None:
    domain = working().given(
        limit(9, on_exceeded="pause"),
        limit(9, agent_id="ann", on_exceeded="ask"),
        limit(99, task_id="parse", on_exceeded="stop"),
    )
    assert domain.refused(reserve(amount=99)).details["on_exceeded"] == "ask"
    assert domain.refused(reserve(amount=100)).details["on_exceeded"] == "stop"


def test_a_limit_of_nothing_allows_what_costs_nothing() -> None:
    domain = working().given(limit(0))
    assert domain.refused(reserve(amount=1)).code == "budget_exceeded"
    domain.event(reserve(amount=0), SpendReserved)


def test_a_limit_below_what_is_spent_allows_nothing_at_all() -> None:
    domain = working().given(limit(100), reserve(), settle(cost=100), limit(99))
    refused = domain.refused(reserve("next", 0))
    assert (refused.code, refused.details["left_micros"]) == ("budget_exceeded", -1)
    domain.given(limit(100)).event(reserve("next", 0), SpendReserved)


def test_only_the_holder_may_reserve() -> None:
    domain = Domain().given(agent(), agent("bob"), task(), task("other"), claim())
    assert domain.refused(reserve(agent_id="bob")).code == "fenced"
    assert domain.refused(reserve(attempt=2)).code == "fenced"
    assert domain.refused(reserve(task_id="other")).code == "fenced"
    assert domain.refused(reserve(task_id="ghost")).code == "unknown_task"


def test_reserving_again_is_nothing_to_do_whatever_became_of_it() -> None:
    domain = working().given(limit(100), reserve())
    told = {"spend_id": "call", "status": "reserved", "cost_micros": 0, "overrun_micros": 0}
    assert domain.nothing(reserve()) == told
    domain.given(settle())
    assert domain.nothing(reserve()) == {**told, "status": "settled", "cost_micros": 60}


def test_another_call_needs_another_id() -> None:
    refused = working().given(reserve()).refused(reserve(amount=99))
    assert (refused.code, refused.details["spend_id"]) == ("already_exists", "call")


# ── settling


def test_what_it_cost_takes_the_place_of_what_was_reserved() -> None:
    domain = working().given(limit(100), reserve())
    event = domain.event(settle(), SpendSettled)
    assert event.reply() == {"spend_id": "call", "cost_micros": 60, "overrun_micros": 0}
    spend, budget = domain.spend(), domain.budget()
    assert (spend.status, spend.cost_micros, spend.is_live()) == ("settled", 60, False)
    assert (spend.prompt_tokens, spend.completion_tokens, spend.cached_tokens) == (10, 5, 4)
    assert spend.milliseconds == 700
    assert (amounts(budget), budget.left_micros, budget.spent_tokens) == ((60, 0), 40, 15)


def test_what_it_cost_counts_even_where_it_is_more_than_was_reserved() -> None:
    domain = working().given(limit(100), reserve())
    assert domain.event(settle(cost=130), SpendSettled).overrun_micros == 30
    assert domain.spend().overrun_micros == 30
    assert (amounts(domain.budget()), domain.budget().left_micros) == ((130, 0), -30)


def test_settling_again_is_nothing_to_do() -> None:
    domain = working().given(limit(100), reserve(), settle(cost=130))
    told = {"spend_id": "call", "status": "settled", "cost_micros": 130, "overrun_micros": 30}
    assert domain.nothing(settle(cost=130)) == told
    refused = domain.refused(settle(cost=131))
    assert (refused.code, refused.details["status"]) == ("wrong_status", "settled")


def test_only_who_reserved_settles_or_releases() -> None:
    domain = working().given(agent("bob"), reserve())
    for command in (settle(agent_id="bob"), release(agent_id="bob")):
        assert domain.refused(command).code == "not_your_spend"
    for command in (settle("ghost"), release("ghost")):
        refused = domain.refused(command)
        assert (refused.code, refused.details["field"]) == ("unknown_spend", "spend_id")


def test_there_are_no_more_cached_tokens_than_tokens() -> None:
    command = msgspec.structs.replace(settle(), cached_tokens=11)
    refused = working().given(reserve()).refused(command)
    assert (refused.code, refused.details["field"]) == ("invalid_argument", "cached_tokens")


def test_it_is_charged_where_it_was_reserved_whatever_changed_since() -> None:
    domain = Domain().given(
        *(agent(), form(members=["ann"]), task(team="crew"), limit(100, team_id="crew"), claim()),
        *(reserve(), DisbandTeam(team_id="crew", force=True), limit(100), settle()),
    )
    assert amounts(domain.budget("team:crew")) == (60, 0)
    assert amounts(domain.budget()) == (0, 0)
    assert domain.spend().team_id == "crew"


# ── releasing


def test_what_is_released_may_be_spent_on_others() -> None:
    domain = working().given(limit(100), reserve())
    assert domain.refused(reserve("next", 1)).code == "budget_exceeded"
    domain.event(release(), SpendReleased)
    assert (domain.spend().status, amounts(domain.budget())) == ("released", (0, 0))
    assert not domain.spend().is_live()
    assert domain.nothing(release())["status"] == "released"
    domain.event(reserve("next"), SpendReserved)


def test_what_is_settled_or_released_stays_so() -> None:
    domain = working().given(reserve(), settle(), reserve("other"), release("other"))
    assert domain.refused(release()).code == "wrong_status"
    assert domain.refused(settle("other")).code == "wrong_status"


def test_the_history_alone_leads_to_the_same_amounts() -> None:
    domain = working().given(limit(500), limit(200, task_id="parse"), reserve(), settle())
    domain.given(reserve("b"), release("b"), reserve("c", 7))
    assert snapshot(replay(domain.history)) == snapshot(domain.state)
    assert amounts(domain.budget("task:parse")) == (60, 7)
