"""Capabilities: named in passing, described on purpose."""

from agent_orchestration.domain.capabilities.commands import DefineCapability
from agent_orchestration.domain.capabilities.events import CapabilityDefined
from agent_orchestration.domain.capabilities.model import Capability
from tests.unit.domain import Domain
from tests.unit.examples import agent, task

PYTHON = DefineCapability(name="python", category="language", description="Writes Python.")


def described(domain: Domain, name: str = "python") -> tuple[str | None, str | None]:
    capability = domain.state.get(Capability, name)
    assert capability is not None
    assert capability.name == capability.id == name
    return capability.category, capability.description


def test_a_capability_is_described() -> None:
    domain = Domain()
    assert domain.event(PYTHON, CapabilityDefined).name == "python"
    assert described(domain) == ("language", "Writes Python.")


def test_describing_it_the_same_way_again_is_nothing_to_do() -> None:
    assert Domain().given(PYTHON).nothing(PYTHON) == {"name": "python"}


def test_a_new_description_replaces_the_old_one_altogether() -> None:
    domain = Domain().given(PYTHON, DefineCapability(name="python", category="snake"))
    assert described(domain) == ("snake", None)


def test_agents_and_tasks_make_capabilities_known_by_naming_them() -> None:
    domain = Domain().given(agent(skills={"go": 1}), task(requires={"sql": 1}))
    assert described(domain, "go") == described(domain, "sql") == (None, None)


def test_naming_a_capability_keeps_its_description() -> None:
    domain = Domain().given(PYTHON, agent(), task(requires={"python": 1}))
    assert described(domain) == ("language", "Writes Python.")


def test_describing_what_is_only_named_is_an_event() -> None:
    domain = Domain().given(agent())
    assert domain.event(PYTHON, CapabilityDefined).category == "language"


def test_naming_without_describing_what_is_known_is_nothing_to_do() -> None:
    domain = Domain().given(agent())
    assert domain.nothing(DefineCapability(name="python")) == {"name": "python"}


def test_a_capability_can_be_made_known_by_its_name_alone() -> None:
    domain = Domain()
    assert domain.event(DefineCapability(name="python"), CapabilityDefined).category is None
    assert described(domain) == (None, None)
