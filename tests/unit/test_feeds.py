"""What a feed's records are keyed by: every event says which entity it is about."""

from types import ModuleType
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.messages import Event
from agent_orchestration.core.module import Module
from agent_orchestration.domain.capabilities import commands, decide, model, tools
from agent_orchestration.domain.capabilities.events import CapabilityDefined
from agent_orchestration.domain.tenants.events import RulesRaised


class ThingDone(Event, frozen=True, kw_only=True):
    """Says nothing of what it is about."""

    thing_id: str
    times: int


class ThingCounted(ThingDone, frozen=True, kw_only=True):
    """Names a field that holds no id."""

    ABOUT = "times"


class ThingLost(ThingDone, frozen=True, kw_only=True):
    """Names a field that it does not have."""

    ABOUT = "thing"


def module_with(event: type[Event], function: str) -> Module:
    events, evolve = ModuleType(event.__module__), ModuleType("evolve")
    setattr(events, event.__name__, event)

    def done(_state: Any, _event: Any, _context: Any) -> None: ...

    done.__module__ = "evolve"
    setattr(evolve, function, done)
    return Module(
        "things",
        feed="thing_events",
        model=model,
        commands=commands,
        events=events,
        decide=decide,
        evolve=evolve,
        tools=tools,
    )


@pytest.mark.parametrize(
    ("event", "function", "problem"),
    [
        (ThingCounted, "thing_counted", "ThingCounted.ABOUT is 'times', which is no field with"),
        (ThingLost, "thing_lost", "ThingLost.ABOUT is 'thing', which is no field with an id"),
    ],
)
def test_an_event_that_names_no_entity_is_refused(
    event: type[Event], function: str, problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        module_with(event, function)


def test_an_event_that_says_nothing_is_refused_with_a_remedy() -> None:
    class ThingSeen(Event, frozen=True, kw_only=True):
        thing_id: str

    with pytest.raises(TypeError, match="ThingSeen lacks ABOUT: name the field with the id"):
        module_with(ThingSeen, "thing_seen")


@pytest.mark.parametrize("name", sorted(REGISTRY.events))
def test_every_event_has_an_entity_and_a_feed(name: str) -> None:
    cls = REGISTRY.events[name]
    assert cls.ABOUT is None or cls.ABOUT in cls.__struct_fields__
    assert REGISTRY.feeds[name].endswith("_events")


def test_an_event_is_about_an_entity_or_the_tenant() -> None:
    assert CapabilityDefined(name="python").about() == "python"
    assert RulesRaised(rules=2).about() is None
