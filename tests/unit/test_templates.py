"""Templates: versions that never change, where they come from, and agents made from them."""

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.errors import NotFound
from agent_orchestration.domain.agents.commands import RetireAgent, UpdateAgent
from agent_orchestration.domain.agents.model import Skill
from agent_orchestration.domain.capabilities.model import Capability
from agent_orchestration.domain.tasks.events import TaskClaimed
from agent_orchestration.domain.templates.commands import DefineTemplate, InstantiateAgent
from agent_orchestration.domain.templates.events import AgentInstantiated, TemplateDefined
from agent_orchestration.domain.templates.index import TemplateVersions
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, claim, define, task


def make(agent_id: str | None = "ann", version: int | None = None) -> InstantiateAgent:
    return InstantiateAgent(template="coder", version=version, agent_id=agent_id)


# ── versions


def test_the_first_version_is_one() -> None:
    event = Domain().event(define(), TemplateDefined)
    assert event == TemplateDefined(
        template_id="coder:1",
        name="coder",
        version=1,
        kind="llm",
        description=None,
        skills=(Skill("python", 800),),
        labels={"made": "here"},
        max_concurrency=2,
        heartbeat_seconds=30,
        settings='{"model":"m"}',
        previous=None,
    )
    assert event.reply() == {"template_id": "coder:1", "name": "coder", "version": 1}


def test_a_template_is_kept_as_it_was_defined() -> None:
    domain = Domain().given(define())
    template = domain.template("coder:1")
    assert (template.name, template.version, template.defined_at) == ("coder", 1, START)
    assert (template.skills, template.settings) == ((Skill("python", 800),), '{"model":"m"}')
    assert domain.state.get(Capability, "python") is not None


def test_defining_a_name_again_makes_the_next_version_which_remembers_the_one_before() -> None:
    domain = Domain().given(define())
    event = domain.event(define(skills={"go": 1}), TemplateDefined)
    assert (event.template_id, event.previous) == ("coder:2", "coder:1")
    assert domain.template("coder:1").skills == (Skill("python", 800),)


def test_the_same_definition_without_a_version_is_a_new_version() -> None:
    """Only the version says that a definition is meant to be a repetition."""
    domain = Domain().given(define(), define())
    assert domain.state.index(TemplateVersions).newest("coder") == 2


def test_versions_may_be_left_out() -> None:
    domain = Domain().given(define(version=3))
    assert domain.template("coder:3").previous is None
    event = domain.event(define(version=7), TemplateDefined)
    assert (event.version, event.previous) == (7, "coder:3")
    assert domain.event(define(), TemplateDefined).version == 8


def test_the_same_version_defined_alike_is_nothing_to_do() -> None:
    domain = Domain().given(define(version=1), define(version=2))
    reply = {"template_id": "coder:1", "name": "coder", "version": 1}
    assert domain.nothing(define(version=1)) == reply


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "human"},
        {"description": "x"},
        {"skills": ()},
        {"labels": {}},
        {"max_concurrency": 3},
        {"heartbeat_seconds": None},
        {"settings": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_version_never_changes(change: dict[str, object]) -> None:
    domain = Domain().given(define(version=1))
    refused = domain.refused(msgspec.structs.replace(define(version=1), **change))
    assert (refused.code, refused.details) == ("version_exists", {"field": "version", "newest": 1})
    assert "template coder is at version 1" in refused.reason


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_version_that_was_left_out_cannot_be_made_up_for(version: int) -> None:
    domain = Domain().given(define(version=3), define(version=5))
    assert domain.refused(define(version=version)).code == "version_exists"


def test_templates_do_not_share_their_versions() -> None:
    domain = Domain().given(define(), define(), define("tester"))
    assert domain.template("tester:1").previous is None


def test_a_capability_named_twice_is_refused() -> None:
    command = define()
    twice = msgspec.structs.replace(command, skills=(*command.skills, *command.skills))
    refused = Domain().refused(twice)
    assert (refused.code, refused.details["field"]) == ("duplicate", "capabilities")


@pytest.mark.parametrize("name", ["", "a b", "a:1", "-a", "a\n", "x" * 101, "é"])
def test_a_name_is_short_and_plain(name: str) -> None:
    body = msgspec.json.encode({"name": name, "kind": "llm"})
    with pytest.raises(msgspec.ValidationError):
        REGISTRY.decode_command(DefineTemplate.__name__, body)


# ── agents from templates


def test_an_agent_is_made_as_the_template_says() -> None:
    domain = Domain().given(define()).pass_seconds(5)
    event = domain.event(make(), AgentInstantiated)
    assert event.reply() == {"agent_id": "ann", "template": "coder", "version": 1}
    ann = domain.agent()
    assert (ann.name, ann.kind, ann.labels) == ("coder ann", "llm", {"made": "here"})
    assert (ann.skills, ann.max_concurrency) == ((Skill("python", 800),), 2)
    assert (ann.heartbeat_seconds, ann.seen_at) == (30, START + 5000)
    assert (ann.template_id, ann.version, ann.status) == ("coder", 1, "idle")


def test_what_is_given_goes_before_what_the_template_says() -> None:
    command = InstantiateAgent(
        template="coder", agent_id="ann", name="Ann", labels={"made": "there", "is": "new"}
    )
    ann = Domain().given(define(), command).agent()
    assert (ann.name, ann.labels) == ("Ann", {"made": "there", "is": "new"})


def test_the_newest_version_is_taken_unless_one_is_named() -> None:
    domain = Domain().given(define(skills={"old": 1}), define(skills={"new": 1}))
    domain.given(make("ann"), make("bob", version=1))
    assert (domain.agent("ann").version, list(domain.agent("ann").levels)) == (2, ["new"])
    assert (domain.agent("bob").version, list(domain.agent("bob").levels)) == (1, ["old"])


def test_an_agent_without_an_id_gets_one_of_its_own() -> None:
    domain = Domain().given(define())
    first = domain.event(make(None), AgentInstantiated).agent_id
    second = domain.event(make(None), AgentInstantiated).agent_id
    assert first != second


def test_such_an_agent_works_changes_and_goes_like_any_other() -> None:
    domain = Domain().given(define(), make(), task(requires={"python": 800}))
    assert domain.event(claim(), TaskClaimed).task_id == "parse"
    domain.given(UpdateAgent(agent_id="ann", skills=()), RetireAgent(agent_id="ann", force=True))
    assert (domain.agent().template_id, domain.agent().version) == ("coder", 1)


@pytest.mark.parametrize(
    ("version", "says"), [(None, "no template coder;"), (2, "no template coder version 2;")]
)
def test_the_template_must_be_known(version: int | None, says: str) -> None:
    domain = Domain() if version is None else Domain().given(define())
    refused = domain.refused(make(version=version))
    assert isinstance(refused, NotFound)
    assert (refused.code, refused.details["field"]) == ("unknown_template", "template")
    assert says in refused.reason


@pytest.mark.parametrize("retired", [False, True])
def test_the_id_must_be_free(retired: bool) -> None:
    domain = Domain().given(define(), agent())
    if retired:
        domain.given(RetireAgent(agent_id="ann"))
    refused = domain.refused(make())
    assert (refused.code, refused.details["agent_id"]) == ("already_exists", "ann")
