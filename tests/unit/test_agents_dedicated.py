"""Dedicated agents: they leave alone what anybody can do."""

from typing import Any

import msgspec

from agent_orchestration.domain.agents.commands import RegisterAgent, UpdateAgent
from agent_orchestration.domain.agents.events import AgentRegistered, AgentUpdated
from agent_orchestration.domain.tasks.events import TaskAssigned, TaskClaimed
from tests.unit.domain import Domain
from tests.unit.examples import agent, assign, claim, form, task

PYTHON = {"python": 500}


def dedicated(name: str = "ann", **skills: int) -> RegisterAgent:
    return msgspec.structs.replace(agent(name, skills=skills), dedicated=True)


def update(value: bool) -> UpdateAgent:
    return UpdateAgent(agent_id="ann", dedicated=value)


def claimed(domain: Domain, by: str = "ann") -> Any:
    return domain.event(claim(agent_id=by), TaskClaimed).task_id


def test_what_requires_nothing_is_left_to_others() -> None:
    domain = Domain().given(dedicated(python=800), agent("bob"), task("any"))
    assert domain.nothing(claim())["reason"] == "no_ready_task"
    assert claimed(domain, "bob") == "any"


def test_what_requires_something_is_taken_even_if_it_is_less_urgent() -> None:
    domain = Domain().given(dedicated(python=800), task("any", priority=1), task("own", PYTHON))
    assert claimed(domain) == "own"


def test_so_is_what_is_meant_for_it_or_its_team() -> None:
    domain = Domain().given(
        dedicated(), form(members=["ann"]), task("any"), task("own", agent_id="ann")
    )
    assert claimed(domain) == "own"
    domain = Domain().given(
        dedicated(), form(members=["ann"]), task("any"), task("ours", team="crew")
    )
    assert claimed(domain) == "ours"


def test_it_can_be_given_what_anybody_can_do() -> None:
    domain = Domain().given(dedicated(), task("any"))
    assert domain.event(assign("any"), TaskAssigned).agent_id == "ann"


def test_it_can_be_changed_and_only_a_change_is_recorded() -> None:
    domain = Domain().given(agent(), task("any"))
    assert domain.nothing(update(False)) == {"agent_id": "ann"}
    assert domain.event(update(True), AgentUpdated).dedicated is True
    assert domain.nothing(update(True)) == {"agent_id": "ann"}
    assert domain.nothing(claim())["reason"] == "no_ready_task"
    assert domain.event(update(False), AgentUpdated).dedicated is False
    assert claimed(domain) == "any"


def test_the_first_rules_know_none() -> None:
    domain = Domain(rules=1)
    assert domain.refused(dedicated()).code == "older_rules"
    assert domain.event(agent(), AgentRegistered).dedicated is None
    assert b"dedicated" not in domain.history[-1].body
    refused = domain.refused(update(True))
    assert (refused.code, refused.details["field"]) == ("older_rules", "dedicated")
