"""Agents: registered, updated, drained, retired, silent and back."""

import pytest

from agent_orchestration.core.entities import shape_of
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    ExpireAgent,
    ReportCircuitBreaker,
    RetireAgent,
    UpdateAgent,
)
from agent_orchestration.domain.agents.events import (
    AgentDrained,
    AgentRegistered,
    AgentResumed,
    AgentRetired,
    AgentUpdated,
    AgentWentOffline,
    CircuitBreakerChanged,
)
from agent_orchestration.domain.agents.model import Agent, BreakerState, Skill, SkillClaim
from agent_orchestration.domain.capabilities.model import Capability
from agent_orchestration.domain.tasks.events import TaskClaimed
from tests.unit.domain import START, Domain
from tests.unit.examples import (
    agent,
    assign,
    claim,
    complete,
    edge,
    heartbeat,
    task,
)

EXPIRE = ExpireAgent(agent_id="ann")
RETIRE = RetireAgent(agent_id="ann")
FORCE = RetireAgent(agent_id="ann", force=True)
DRAIN = DrainAgent(agent_id="ann")
RESUME = DrainAgent(agent_id="ann", draining=False)


# ── registering


def test_a_registered_agent_is_known_with_its_skills_in_order() -> None:
    domain = Domain()
    event = domain.event(agent(skills={"sql": 1000, "python": 800}), AgentRegistered)
    assert event.skills == (Skill("python", 800), Skill("sql", 1000))
    ann = domain.agent()
    assert (ann.status, ann.active, ann.seen_at, ann.registered_at) == ("idle", 0, START, START)
    assert ann.levels == {"python": 800, "sql": 1000}


def test_registering_makes_the_named_capabilities_known() -> None:
    domain = Domain().given(agent(skills={"sql": 1000, "python": 800}))
    assert {one.id for one in domain.state.all(Capability)} == {"python", "sql"}


def test_an_agent_without_id_gets_one_made_from_the_command() -> None:
    domain = Domain()
    command = agent("ann")
    nameless = type(command)(name="Ann", kind="human")
    event = domain.event(nameless, AgentRegistered)
    assert event.agent_id == "agent-000000000001"
    assert domain.event(nameless, AgentRegistered).agent_id == "agent-000000000002"


def test_an_id_is_given_once_even_after_retirement() -> None:
    domain = Domain().given(agent())
    assert domain.refused(agent()).code == "already_exists"
    assert domain.given(RETIRE).refused(agent()).code == "already_exists"


def test_a_capability_is_named_once() -> None:
    command = type(agent())(
        name="Ann", kind="llm", skills=(SkillClaim("python", 1), SkillClaim("python", 2))
    )
    error = Domain().refused(command)
    assert (error.code, error.details["field"]) == ("duplicate", "capabilities")


# ── updating


def test_an_update_records_what_differs_and_nothing_else() -> None:
    domain = Domain().given(agent())
    same_name = UpdateAgent(agent_id="ann", name="Ann", max_concurrency=3)
    event = domain.event(same_name, AgentUpdated)
    assert (event.name, event.max_concurrency) == (None, 3)
    assert (domain.agent().name, domain.agent().max_concurrency) == ("Ann", 3)


def test_an_update_that_changes_nothing_is_nothing_to_do() -> None:
    domain = Domain().given(agent())
    same = UpdateAgent(agent_id="ann", name="Ann", skills=(SkillClaim("python", 800),), labels={})
    assert domain.nothing(same) == {"agent_id": "ann"}
    assert domain.nothing(UpdateAgent(agent_id="ann")) == {"agent_id": "ann"}


def test_new_skills_replace_the_old_ones() -> None:
    domain = Domain().given(agent(), task(requires={"python": 1}))
    domain.given(UpdateAgent(agent_id="ann", skills=(SkillClaim("go", 500),)))
    assert domain.agent().levels == {"go": 500}
    assert domain.nothing(claim())["reason"] == "no_ready_task"
    assert domain.state.get(Capability, "go") is not None


def test_skills_and_labels_can_be_emptied() -> None:
    domain = Domain().given(agent(), UpdateAgent(agent_id="ann", labels={"team": "red"}))
    domain.given(UpdateAgent(agent_id="ann", skills=(), labels={}))
    assert (domain.agent().skills, domain.agent().labels) == ((), {})


def test_an_update_names_a_capability_once() -> None:
    twice = UpdateAgent(agent_id="ann", skills=(SkillClaim("go"), SkillClaim("go")))
    assert Domain().given(agent()).refused(twice).code == "duplicate"


def test_a_new_promise_of_heartbeats_counts_from_now() -> None:
    domain = Domain().given(agent()).pass_seconds(3600)
    domain.given(UpdateAgent(agent_id="ann", heartbeat_seconds=30))
    assert domain.nothing(EXPIRE) == {}
    domain.pass_seconds(30)
    assert domain.event(EXPIRE, AgentWentOffline).agent_id == "ann"


# ── draining


def test_a_draining_agent_keeps_its_tasks_and_gets_no_new_ones() -> None:
    domain = Domain().given(agent(at_once=2), task("a"), task("b"), claim())
    assert domain.event(DRAIN, AgentDrained).agent_id == "ann"
    assert domain.agent().status == "draining"
    assert domain.refused(claim()).code == "agent_draining"
    assert domain.refused(assign("b")).code == "agent_draining"
    domain.given(complete("a"))
    assert domain.task("a").status == "completed"


def test_a_resumed_agent_takes_work_again() -> None:
    domain = Domain().given(agent(), task(), DRAIN)
    assert domain.event(RESUME, AgentResumed).agent_id == "ann"
    assert domain.event(claim(), TaskClaimed).task_id == "parse"


@pytest.mark.parametrize(("before", "again"), [(DRAIN, DRAIN), (RESUME, RESUME)])
def test_draining_or_resuming_twice_is_nothing_to_do(before: Command, again: Command) -> None:
    domain = Domain().given(agent(), before)
    assert domain.nothing(again) == {"agent_id": "ann"}


# ── retiring


def test_an_idle_agent_retires() -> None:
    domain = Domain().given(agent())
    assert domain.event(RETIRE, AgentRetired).requeued == ()
    assert (domain.agent().status, domain.agent().is_live()) == ("retired", False)


def test_an_agent_with_work_retires_only_by_force() -> None:
    domain = Domain().given(agent(), task(), claim())
    error = domain.refused(RETIRE)
    assert (error.code, error.details["task_ids"]) == ("agent_has_work", ["parse"])


def test_retiring_by_force_gives_the_tasks_back() -> None:
    domain = Domain().given(agent(at_once=3), agent("bob"), task("b"), task("a"), claim(), claim())
    assert domain.event(FORCE, AgentRetired).requeued == ("a", "b")
    assert domain.agent().active == 0
    for task_id in ("a", "b"):
        given_back = domain.task(task_id)
        assert (given_back.status, given_back.assignment) == ("ready", None)
        assert given_back.reason == "agent ann was retired"
    assert domain.refused(complete("b")).code == "fenced"
    again = domain.event(claim("bob"), TaskClaimed)
    assert (again.task_id, again.attempt) == ("b", 2)


def test_retiring_by_force_copes_with_thousands_of_tasks() -> None:
    count = 5000
    tasks = [f"task-{number:012d}" for number in range(count)]
    domain = Domain().given(agent(at_once=10_000))
    for task_id in tasks:
        domain.given(task(task_id), claim())
    assert domain.event(FORCE, AgentRetired).requeued == tuple(tasks)
    assert set(domain.statuses().values()) == {"ready"}


def test_retiring_again_is_nothing_to_do() -> None:
    domain = Domain().given(agent(), RETIRE)
    assert domain.nothing(RETIRE) == {"agent_id": "ann", "requeued": []}
    assert domain.nothing(FORCE) == {"agent_id": "ann", "requeued": []}


@pytest.mark.parametrize(
    "command", [UpdateAgent(agent_id="ann", name="Eve"), DRAIN, RESUME, heartbeat(), claim()]
)
def test_a_retired_agent_does_nothing_any_more(command: Command) -> None:
    domain = Domain().given(agent(), task(), RETIRE)
    error = domain.refused(command)
    assert isinstance(error, Rejected)
    assert (error.code, error.details["field"]) == ("agent_retired", "agent_id")


def test_a_retired_agent_is_given_nothing() -> None:
    domain = Domain().given(agent(), task(), RETIRE)
    assert domain.refused(assign()).code == "agent_retired"


@pytest.mark.parametrize(
    "command", [UpdateAgent(agent_id="ann"), DRAIN, RETIRE, heartbeat(), claim(), EXPIRE]
)
def test_an_unknown_agent_is_not_found(command: Command) -> None:
    domain = Domain()
    if command is EXPIRE:
        assert domain.nothing(command) == {}
        return
    error = domain.refused(command)
    assert isinstance(error, NotFound)
    assert error.code == "unknown_agent"


def test_the_status_follows_from_the_facts() -> None:
    domain = Domain().given(agent(heartbeat_seconds=5), task(), task("next", after=["parse"]))
    commands = (claim(), DRAIN, complete(), RESUME)
    seen = [domain.given(command).agent().status for command in commands]
    assert seen == ["busy", "draining", "draining", "idle"]
    assert domain.pass_seconds(5).given(EXPIRE).agent().status == "offline"
    assert domain.given(RETIRE).agent().status == "retired"


def test_what_an_agent_gave_back_unblocks_nobody() -> None:
    domain = Domain().given(
        agent(), task(), task("next", after=[edge("parse", "continue")]), claim(), FORCE
    )
    assert domain.statuses() == {"parse": "ready", "next": "blocked"}


# ── the circuit breaker of what it calls


def breaker(state: BreakerState, service: str = "model m") -> ReportCircuitBreaker:
    return ReportCircuitBreaker(agent_id="ann", service=service, state=state)


def row(domain: Domain) -> dict[str, object]:
    return shape_of(Agent).row("default", domain.agent())


def test_what_is_reported_of_a_breaker_is_kept_until_it_is_closed() -> None:
    domain = Domain().given(agent())
    untouched = row(domain)
    assert not any(name.startswith("circuit") for name in untouched)
    event = domain.event(breaker("open"), CircuitBreakerChanged)
    assert (event.agent_id, event.service, event.state) == ("ann", "model m", "open")
    assert row(domain) == untouched | {
        "circuit_breaker_state": "open",
        "circuit_breaker_service": "model m",
    }
    assert domain.given(breaker("half_open")).agent().circuit_breaker_state == "half_open"
    assert row(domain.given(breaker("closed"))) == untouched


def test_a_breaker_that_is_as_it_was_is_nothing_to_do() -> None:
    domain = Domain().given(agent())
    assert domain.nothing(breaker("closed")) == {"agent_id": "ann"}
    domain.given(breaker("open"))
    domain.nothing(breaker("open"))
    domain.event(breaker("open", "model n"), CircuitBreakerChanged)
    assert domain.agent().circuit_breaker_service == "model n"
    domain.event(breaker("closed", "model m"), CircuitBreakerChanged)
    domain.nothing(breaker("closed", "model n"))


def test_a_retired_agent_has_its_breaker_closed() -> None:
    domain = Domain().given(agent(), breaker("open"), RETIRE)
    assert domain.agent().circuit_breaker_state is None
    assert domain.agent().circuit_breaker_service is None
    assert domain.refused(breaker("open")).code == "agent_retired"
