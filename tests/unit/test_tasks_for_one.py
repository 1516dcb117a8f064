"""Tasks that are meant for one agent: nobody else claims them or is given them."""

import pytest

from agent_orchestration.core.errors import NotFound
from agent_orchestration.domain.agents.commands import DrainAgent, RetireAgent
from agent_orchestration.domain.tasks.events import TaskAssigned, TaskClaimed, TaskCreated
from tests.unit.domain import Domain
from tests.unit.examples import agent, assign, claim, complete, fail, form, task


def pair() -> Domain:
    """Ann and Bob."""
    return Domain().given(agent(), agent("bob"))


def test_only_that_agent_claims_it() -> None:
    domain = pair()
    created = domain.event(task(agent_id="bob"), TaskCreated)
    assert (created.agent_id, domain.task().meant_for) == ("bob", "bob")
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "parse"


def test_that_agent_does_other_work_too_by_priority() -> None:
    domain = pair().given(task("own", agent_id="ann"), task("any", priority=1))
    assert domain.event(claim(), TaskClaimed).task_id == "any"
    domain.given(complete("any"))
    assert domain.event(claim(), TaskClaimed).task_id == "own"


def test_after_a_failed_attempt_it_is_still_for_that_agent() -> None:
    domain = pair().given(
        task(agent_id="bob"), claim("bob"), fail("parse", "bob", retry_after_ms=0)
    )
    assert domain.task().status == "ready"
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).attempt == 2


def test_it_is_assigned_to_no_other() -> None:
    domain = pair().given(task(agent_id="bob"))
    refused = domain.refused(assign("parse", "ann"))
    assert (refused.code, refused.details["field"]) == ("meant_for_another", "agent_id")
    assert "meant for agent bob only" in refused.reason
    domain.event(assign("parse", "bob"), TaskAssigned)


def test_that_agent_has_to_be_known_and_there() -> None:
    domain = pair().given(RetireAgent(agent_id="bob"))
    unknown = domain.refused(task(agent_id="eve"))
    assert isinstance(unknown, NotFound)
    assert (unknown.code, unknown.details["field"]) == ("unknown_agent", "agent_id")
    retired = domain.refused(task(agent_id="bob"))
    assert (retired.code, retired.details["field"]) == ("agent_retired", "agent_id")


def test_one_that_takes_no_work_now_may_do_it_later() -> None:
    domain = pair().given(DrainAgent(agent_id="ann"), task(agent_id="ann"))
    assert domain.task().status == "ready"
    domain.given(DrainAgent(agent_id="ann", draining=False))
    assert domain.event(claim(), TaskClaimed).task_id == "parse"


def test_a_task_of_a_team_is_meant_for_a_member() -> None:
    domain = pair().given(form(members=["bob"]))
    refused = domain.refused(task(agent_id="ann", team="crew"))
    assert (refused.code, refused.details["field"]) == ("not_a_member", "agent_id")
    domain.given(task(agent_id="bob", team="crew"))
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "parse"


@pytest.mark.parametrize(
    ("requires", "lacking"),
    [({}, ()), ({"python": 800}, ()), ({"python": 801}, ("python",)), ({"sql": 1}, ("sql",))],
)
def test_it_says_what_that_agent_lacks_whatever_others_have(
    requires: dict[str, int], lacking: tuple[str, ...]
) -> None:
    domain = Domain().given(agent(), agent("bob", {"python": 1000, "sql": 1000}))
    assert domain.event(task("t", requires, agent_id="ann"), TaskCreated).unstaffed == lacking
    domain.given(claim())
    assert domain.task("t").held_by("ann") == (not lacking)


def test_an_agent_called_like_a_capability_is_no_capability() -> None:
    domain = Domain().given(agent("python", {}), agent("ann", {"python": 1000}))
    domain.given(task(agent_id="python"))
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"


def test_the_first_rules_know_no_such_tasks() -> None:
    domain = Domain(rules=1).given(agent())
    refused = domain.refused(task(agent_id="ann"))
    assert (refused.code, refused.details["field"]) == ("older_rules", "agent_id")
    domain.given(task())
    assert domain.history[-1].version == 2
    assert b"agent_id" not in domain.history[-1].body
