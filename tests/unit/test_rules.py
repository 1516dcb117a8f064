"""The version of the rules: how it is kept, raised, and insisted on."""

from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord, stored_form
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.core.folding import RULES, fold
from agent_orchestration.core.messages import Body, Event
from agent_orchestration.domain.agents.commands import ExpireAgent
from agent_orchestration.domain.agents.events import AgentWentOffline
from agent_orchestration.domain.tenants.commands import RaiseRules
from agent_orchestration.domain.tenants.events import RulesRaised
from tests.unit.domain import START, Domain, replay
from tests.unit.examples import agent, assign, claim, complete, fail, task

# ── raising


def test_rules_are_raised_from_the_next_event_on() -> None:
    domain = Domain(rules=1).given(task("a"))
    assert domain.event(RaiseRules(rules=2), RulesRaised).rules == 2
    domain.given(task("b"))
    assert [one.rules for one in domain.history] == [1, 1, 2]
    assert replay(domain.history).rules == domain.state.rules == 2


@pytest.mark.parametrize("rules", range(1, RULES + 1))
def test_rules_are_never_lowered(rules: int) -> None:
    assert Domain().given(task()).nothing(RaiseRules(rules=rules)) == {"rules": RULES}


def test_rules_can_be_raised_before_anything_else_happened() -> None:
    domain = Domain(rules=1)
    domain.event(RaiseRules(rules=2), RulesRaised)
    assert (domain.history[0].rules, domain.state.rules) == (1, 2)


def test_raising_the_rules_beyond_what_the_program_knows_is_given_up() -> None:
    domain = Domain()
    with pytest.raises(Corrupt, match="upgrade it") as caught:
        domain.when(RaiseRules(rules=RULES + 1))
    assert caught.value.code == "newer_rules"
    assert domain.state.seq == 0


# ── what rules 2 brought beside giving back


def offline(rules: int) -> Domain:
    """Ann has been silent for too long."""
    domain = Domain(rules=rules).given(agent(heartbeat_seconds=30), task()).pass_seconds(30)
    domain.event(ExpireAgent(agent_id="ann"), AgentWentOffline)
    return domain


def test_work_is_not_pushed_to_agents_that_are_offline() -> None:
    assert offline(2).refused(assign()).code == "agent_offline"
    assert offline(1).given(assign()).task().status == "assigned"


@pytest.mark.parametrize("report", [complete(), fail()], ids=["complete", "fail"])
def test_the_end_of_an_attempt_is_a_sign_of_life(report: Any) -> None:
    for rules, seen in ((1, False), (2, True)):
        domain = Domain(rules=rules).given(agent(heartbeat_seconds=30), task(), claim())
        domain.pass_seconds(30).given(ExpireAgent(agent_id="ann")).pass_seconds(1).given(report)
        assert domain.agent().offline_at == (None if seen else START + 30_000)
        assert domain.agent().seen_at == (domain.now if seen else START)


# ── on every event


def history() -> list[EventEnvelope]:
    return Domain().given(agent(), task(), claim()).history


def test_an_event_from_before_there_were_versions_was_decided_under_the_first() -> None:
    [first, *_] = Domain(rules=1).given(task()).history
    record = first.to_record()
    assert record.headers["ce_rules"] == "1"
    headers = {name: text for name, text in record.headers.items() if name != "ce_rules"}
    old = StoredRecord("events", 0, 0, START, record.key, record.value, headers)
    assert EventEnvelope.from_record(old) == first
    assert EventEnvelope.from_record(old).digest == first.digest


def test_the_first_event_says_which_rules_a_tenant_begins_with() -> None:
    assert replay(history()[:1]).rules == RULES
    assert replay(Domain(rules=1).given(task()).history).rules == 1


@pytest.mark.parametrize(("rules", "code"), [(1, "other_rules"), (RULES + 1, "newer_rules")])
def test_an_event_that_was_decided_under_other_rules_stops_the_reader(
    rules: int, code: str
) -> None:
    first, second, _ = history()
    with pytest.raises(Corrupt) as caught:
        replay([first, msgspec.structs.replace(second, rules=rules)])
    assert caught.value.code == code


def test_a_tenant_that_begins_with_newer_rules_stops_the_reader() -> None:
    first = msgspec.structs.replace(history()[0], rules=RULES + 1, type="Unheard", body=b"?")
    state = REGISTRY.new_state("default")
    with pytest.raises(Corrupt) as caught:
        fold(REGISTRY, state, first)
    assert caught.value.code == "newer_rules"


def test_a_program_without_versions_would_notice_the_next_event() -> None:
    """It does not know the header: the digest is another one, so its chain breaks."""
    first, *_ = history()
    assert msgspec.structs.replace(first, rules=1).digest != first.digest


# ── new versions of an event


def _drop(body: Body) -> Body:
    return {"name": body["name"]}


def _first(body: Body) -> Body:
    return {"name": body["name"], "size": body["sizes"][0]}


class BoxMade(Event, frozen=True, kw_only=True):
    """Version 2 came with rules 2 and added the size, version 3 with rules 4 made it several."""

    VERSION = 3
    SINCE_RULES = {2: 2, 3: 4}
    DOWNCASTERS = {1: _drop, 2: _first}

    sizes: tuple[int, ...]
    name: str


@pytest.mark.parametrize(
    ("rules", "form"),
    [
        (1, (1, b'{"name":"b"}')),
        (2, (2, b'{"name":"b","size":7}')),
        (3, (2, b'{"name":"b","size":7}')),
        (4, (3, b'{"name":"b","sizes":[7]}')),
        (9, (3, b'{"name":"b","sizes":[7]}')),
    ],
)
def test_a_new_version_of_an_event_is_written_when_its_rules_are_in_force(
    rules: int, form: tuple[int, bytes]
) -> None:
    assert stored_form(BoxMade(sizes=(7,), name="b"), rules) == form


BEFORE_THERE_WERE_RULES = {"AgentRegistered": 2, "TaskCreated": 2}


@pytest.mark.parametrize("name", sorted(REGISTRY.events))
def test_every_new_version_of_an_event_says_with_which_rules_it_came(name: str) -> None:
    event = REGISTRY.events[name]
    first = BEFORE_THERE_WERE_RULES.get(name, 1)
    later = range(first + 1, event.VERSION + 1)
    assert list(event.SINCE_RULES) == list(later)
    assert list(event.DOWNCASTERS) == [version - 1 for version in later]
    assert all(1 < rules <= RULES for rules in event.SINCE_RULES.values())
