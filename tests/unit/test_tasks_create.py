"""Creating tasks: ids, requirements, dependencies, and who could do them."""

from collections.abc import Mapping

import pytest

from agent_orchestration.core.errors import NotFound
from agent_orchestration.domain.agents.commands import (
    DrainAgent,
    ExpireAgent,
    RetireAgent,
    UpdateAgent,
)
from agent_orchestration.domain.capabilities.model import Capability
from agent_orchestration.domain.tasks.commands import CancelTask, CreateTask
from agent_orchestration.domain.tasks.events import TaskCreated
from agent_orchestration.domain.tasks.model import (
    Dependency,
    DependencySpec,
    Requirement,
    RequirementSpec,
    RetryPolicy,
)
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, claim, complete, edge, fail, task

GIVE_UP = RetryPolicy(max_attempts=1)
CANCEL = CancelTask(task_id="parse")


def ended(status: str) -> Domain:
    """The task `parse`, completed, failed or cancelled."""
    domain = Domain().given(agent(), task(retry=GIVE_UP), claim())
    domain.given({"completed": complete(), "failed": fail(), "cancelled": CANCEL}[status])
    assert domain.task().status == status
    return domain


# ── what is recorded


def test_a_new_task_is_ready_and_knows_where_it_comes_from() -> None:
    domain = Domain().given(agent()).pass_seconds(1)
    domain.given(task(priority=2, lease_seconds=90))
    created = domain.task()
    assert (created.status, created.priority, created.attempt) == ("ready", 2, 0)
    assert (created.created_seq, created.created_at) == (2, START + 1000)
    assert (created.created_by, created.lease_seconds) == ("me", 90)


def test_everything_said_about_a_task_is_kept() -> None:
    retry = RetryPolicy(5, 3, 700, 4, ("bad_input",))
    command = CreateTask(
        task_id="parse",
        title="Parse",
        description="All of it.",
        labels={"team": "red", "empty": "", "sum": "a=b"},
        payload='{"n":1}',
        retry=retry,
    )
    domain = Domain().given(command)
    known = domain.task()
    assert (known.title, known.description) == ("Parse", "All of it.")
    assert (known.labels, known.payload) == (command.labels, '{"n":1}')
    assert (known.retry_initial_ms, known.retry_factor, known.retry_max_ms) == (5, 3, 700)
    assert (known.max_attempts, known.non_retryable) == (4, ("bad_input",))


def test_requirements_and_dependencies_are_kept_in_order() -> None:
    domain = Domain().given(task("b"), task("a"))
    event = domain.event(task(requires={"sql": 1, "go": 2}, after=["b", "a"]), TaskCreated)
    assert event.requires == (Requirement("go", 2), Requirement("sql", 1))
    assert event.depends_on == (Dependency("a", "block"), Dependency("b", "block"))


def test_required_capabilities_become_known() -> None:
    domain = Domain().given(task(requires={"sql": 1}))
    assert domain.state.get(Capability, "sql") is not None


def test_a_task_without_id_gets_one_made_from_the_command() -> None:
    domain = Domain()
    assert domain.event(task(None), TaskCreated).task_id == "task-000000000001"
    assert domain.event(task(None), TaskCreated).task_id == "task-000000000002"


def test_deciding_the_same_command_again_gives_the_same_id() -> None:
    one, other = Domain().decide(task(None)), Domain().decide(task(None))
    assert one == other


# ── what is refused


def test_an_id_is_given_once_even_when_the_task_is_finished() -> None:
    assert ended("completed").refused(task()).code == "already_exists"
    assert Domain().given(task()).refused(task()).details["task_id"] == "parse"


def test_a_capability_is_required_once() -> None:
    twice = (RequirementSpec("go", 1), RequirementSpec("sql"), RequirementSpec("go", 2))
    error = Domain().refused(CreateTask(title="x", requires=twice))
    assert (error.code, error.details["field"]) == ("duplicate", "requires")


def test_a_dependency_is_named_once() -> None:
    domain = Domain().given(task("a"), task("b"))
    twice = task(after=[edge("a", "block"), "b", edge("a", "cancel")])
    error = domain.refused(twice)
    assert (error.code, error.details["field"]) == ("duplicate", "depends_on")


def test_a_task_cannot_depend_on_itself() -> None:
    error = Domain().refused(task(after=["parse"]))
    assert (error.code, error.details["cycle"]) == ("cycle", ["parse", "parse"])


def test_a_task_cannot_depend_on_the_id_it_is_about_to_get() -> None:
    assert Domain().refused(task(None, after=["task-000000000001"])).code == "cycle"


def test_dependencies_must_exist() -> None:
    error = Domain().given(task("a")).refused(task(after=["a", "ghost"]))
    assert isinstance(error, NotFound)
    assert (error.code, error.details["task_id"]) == ("unknown_task", "ghost")


# ── dependencies that have ended already


@pytest.mark.parametrize("policy", ["block", "cancel", "continue"])
def test_a_completed_dependency_is_met_from_the_start(policy: str) -> None:
    domain = ended("completed")
    command = CreateTask(
        task_id="next",
        title="x",
        depends_on=(DependencySpec("parse", policy),),  # type: ignore[arg-type]
    )
    assert domain.event(command, TaskCreated).unmet == ()
    assert (domain.task("next").status, domain.task("next").waiting_on) == ("ready", 0)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_dependency_that_ended_badly_is_never_met(status: str) -> None:
    domain = ended(status)
    event = domain.event(task("next", after=[edge("parse", "block")]), TaskCreated)
    assert (event.unmet, event.reason) == (("parse",), f"dependency parse {status}")
    waiting = domain.task("next")
    assert (waiting.status, waiting.waiting_on) == ("blocked", 1)
    assert waiting.reason == f"dependency parse {status}"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_task_that_would_be_cancelled_at_once_is_refused(status: str) -> None:
    error = ended(status).refused(task("next", after=[edge("parse", "cancel")]))
    assert (error.code, error.details["task_id"]) == ("dependency_failed", "parse")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_task_that_does_not_mind_is_ready(status: str) -> None:
    domain = ended(status)
    event = domain.event(task("next", after=[edge("parse", "continue")]), TaskCreated)
    assert (event.unmet, event.reason) == ((), None)
    assert domain.task("next").status == "ready"


def test_met_dependencies_do_not_make_up_for_a_failed_one() -> None:
    domain = ended("failed").given(task("other"), task("next", after=["other", "parse"]))
    domain.given(claim(), complete("other"))
    waiting = domain.task("next")
    assert (waiting.status, waiting.waiting_on) == ("blocked", 1)
    assert waiting.reason == "dependency parse failed"


# ── who could do it


def unstaffed(domain: Domain, **requires: int) -> tuple[str, ...]:
    return domain.event(task(None, requires), TaskCreated).unstaffed


@pytest.mark.parametrize(
    ("requires", "lacking"),
    [
        ({}, ()),
        ({"python": 800}, ()),
        ({"python": 0}, ()),
        ({"python": 801}, ("python",)),  # too low
        ({"cobol": 0}, ("cobol",)),  # nobody has it, at whatever level
        ({"cobol": 1, "python": 900, "sql": 1}, ("cobol", "python")),
        ({"python": 500, "sql": 500}, ("python", "sql")),  # nobody has both
        ({"go": 500, "sql": 500}, ()),  # bob has both
        ({"go": 500, "python": 1}, ("go", "python")),
    ],
)
def test_a_task_says_which_capabilities_nobody_has(
    requires: Mapping[str, int], lacking: tuple[str, ...]
) -> None:
    domain = Domain().given(
        agent("ann", {"python": 800}), agent("bob", {"go": 500, "sql": 900}), agent("eve", {})
    )
    assert unstaffed(domain, **requires) == lacking
    assert domain.task("task-000000000004").status == "ready"


def test_a_retired_agent_staffs_nothing() -> None:
    domain = Domain().given(agent(), RetireAgent(agent_id="ann"))
    assert unstaffed(domain, python=1) == ("python",)


def test_a_draining_or_offline_agent_may_come_back() -> None:
    domain = Domain().given(agent(heartbeat_seconds=1), DrainAgent(agent_id="ann"))
    domain.pass_seconds(2).given(ExpireAgent(agent_id="ann"))
    assert unstaffed(domain, python=1) == ()


def test_who_staffs_a_task_follows_what_agents_can_do_now() -> None:
    domain = Domain().given(agent(), UpdateAgent(agent_id="ann", skills=()))
    assert unstaffed(domain, python=1) == ("python",)
