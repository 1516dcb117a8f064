"""Plans: many tasks at once or none, how they roll up, and how they end together."""

import time
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.domain.agents.commands import Heartbeat, Lease, RetireAgent
from agent_orchestration.domain.plans.commands import PlanTaskSpec, SubmitPlan, TeamSpec
from agent_orchestration.domain.plans.events import PlannedTask, PlanSubmitted
from agent_orchestration.domain.plans.model import MAX_TASKS
from agent_orchestration.domain.tasks.commands import CancelTask, ExpireLease, StartTask
from agent_orchestration.domain.tasks.events import TaskClaimed
from agent_orchestration.domain.tasks.index import Children
from agent_orchestration.domain.tasks.model import (
    Dependency,
    EdgePolicy,
    Requirement,
    RequirementSpec,
    RetryPolicy,
)
from agent_orchestration.domain.teams.commands import DisbandTeam
from agent_orchestration.domain.teams.model import Member
from tests.unit.domain import START, Domain
from tests.unit.examples import (
    agent,
    assign,
    claim,
    complete,
    edge,
    fail,
    form,
    part,
    plan,
    task,
)

ONCE = RetryPolicy(max_attempts=1)


def company(*commands: Command) -> Domain:
    """Ann, who can do anything at once."""
    return Domain().given(agent(at_once=10_000), *commands)


def cancel(task_id: str = "release", reason: str | None = None) -> CancelTask:
    return CancelTask(task_id=task_id, reason=reason)


def roll_up(domain: Domain, plan_id: str = "release") -> tuple[str | int | None, ...]:
    """Status, and how many tasks there are, are open, and did not complete."""
    its = domain.task(plan_id)
    return its.status, its.children, its.open_children, its.failed_children


def do(domain: Domain, task_id: str) -> Domain:
    """Somebody completes a ready task."""
    started = StartTask(task_id=task_id, agent_id="ann", attempt=1)
    return domain.given(assign(task_id), started, complete(task_id))


def fails(domain: Domain, task_id: str) -> Domain:
    """Somebody fails a ready task for good."""
    return domain.given(assign(task_id), fail(task_id, retryable=False))


def ends_badly(domain: Domain, how: str, task_id: str) -> Domain:
    return domain.given(cancel(task_id)) if how == "cancelled" else fails(domain, task_id)


# ── submitting


def test_a_plan_is_a_task_with_its_tasks() -> None:
    domain = company()
    event = domain.event(plan(part("a"), part("b", after=["a"])), PlanSubmitted)
    assert event == PlanSubmitted(
        plan_id="release",
        title="Release",
        description=None,
        tasks=(
            PlannedTask(task_id="release.a", title="a"),
            PlannedTask(
                task_id="release.b",
                title="b",
                depends_on=(Dependency("release.a", "cancel"),),
                unmet=1,
            ),
        ),
        team_id=None,
    )
    assert event.reply() == {"plan_id": "release", "team_id": None, "unstaffed": ()}
    assert domain.statuses() == {
        "release": "running",
        "release.a": "ready",
        "release.b": "blocked",
    }
    assert roll_up(domain) == ("running", 2, 2, 0)


def test_a_task_of_a_plan_has_all_that_was_said_of_it() -> None:
    retry = RetryPolicy(initial_ms=5, max_attempts=2)
    spec = PlanTaskSpec(
        task_id="a",
        title="Do it",
        description="All of it.",
        requires=(RequirementSpec("sql", 300), RequirementSpec("python", 500)),
        priority=1,
        labels={"os": "linux"},
        payload='{"n":1}',
        lease_seconds=7,
        retry=retry,
    )
    domain = company(plan(spec))
    made = domain.task("release.a")
    assert (made.title, made.description, made.priority) == ("Do it", "All of it.", 1)
    assert made.requires == (Requirement("python", 500), Requirement("sql", 300))
    assert (made.labels, made.payload, made.lease_seconds) == ({"os": "linux"}, '{"n":1}', 7)
    assert (made.retry_initial_ms, made.max_attempts) == (5, 2)
    assert (made.parent_id, made.created_by, made.created_at) == ("release", "me", START)


def test_what_was_not_said_is_as_in_any_task() -> None:
    domain = company(task("alone"), plan(part("a")))
    made, alone = domain.task("release.a"), domain.task("alone")
    for field in type(made).__struct_fields__:
        if field not in ("id", "title", "parent_id", "created_seq"):
            assert getattr(made, field) == getattr(alone, field), field


def test_a_plan_without_an_id_gets_one_of_its_own() -> None:
    domain = company()
    first = domain.event(plan(part("a"), plan_id=None), PlanSubmitted)
    second = domain.event(plan(part("a"), plan_id=None), PlanSubmitted)
    assert first.plan_id != second.plan_id
    assert second.tasks[0].task_id == f"{second.plan_id}.a"


def test_dependencies_name_tasks_of_the_plan_before_others() -> None:
    domain = company(task("a"), plan(part("a"), part("b", after=["a"])))
    assert domain.task("release.b").depends_on == (Dependency("release.a", "cancel"),)


def test_dependencies_may_name_tasks_that_come_later_in_the_list() -> None:
    domain = company(plan(part("b", after=["a"]), part("a")))
    assert domain.statuses()["release.b"] == "blocked"
    do(domain, "release.a")
    assert domain.statuses()["release.b"] == "ready"


def test_the_longest_ids_make_ids_that_tasks_can_have() -> None:
    domain = company(plan(part("t" * 63), plan_id="p" * 64))
    domain.event(claim(), TaskClaimed)
    domain.given(complete(f"{'p' * 64}.{'t' * 63}"))
    assert roll_up(domain, "p" * 64) == ("completed", 1, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"plan_id": "p" * 65, "tasks": []},
        {"tasks": [{"task_id": "t" * 64}]},
        {"tasks": [{"task_id": "a b"}]},
        {"plan_id": "p\n", "tasks": []},
    ],
)
def test_longer_or_odd_ids_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        REGISTRY.decode_command("SubmitPlan", canonical({"title": "x", **body}))


def test_more_tasks_than_a_plan_may_have_are_refused() -> None:
    tasks = [{"task_id": f"t{n}"} for n in range(MAX_TASKS + 1)]
    with pytest.raises(msgspec.ValidationError, match="length <= 50000"):
        REGISTRY.decode_command("SubmitPlan", canonical({"title": "x", "tasks": tasks}))


# ── refusals: nothing at all is created


@pytest.mark.parametrize(
    ("command", "code", "field", "says"),
    [
        (plan(), "empty_plan", "tasks", "at least one task"),
        (plan(part("a"), part("c"), part("a")), "duplicate", "tasks.2.id", "a is used twice"),
        (plan(part("a"), plan_id="taken"), "already_exists", "id", "plan taken exists"),
        (plan(part("b")), "already_exists", "tasks.0.id", "task release.b exists"),
        (
            plan(part("a"), part("c", after=["a", edge("a", "block")])),
            "duplicate",
            "tasks.1.depends_on",
            "release.a is named twice",
        ),
        (
            plan(part("a"), team="crew", form_team=TeamSpec()),
            "invalid_argument",
            "form_team",
            "team_id is given as well",
        ),
        (plan(part("a"), team="crew"), "team_disbanded", "team_id", "crew is disbanded"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    command: Command, code: str, field: str, says: str
) -> None:
    domain = company(task("taken"), task("release.b"), form(members=["ann"]))
    domain.given(DisbandTeam(team_id="crew"))
    refused = domain.refused(command)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.details["field"]) == (code, field)
    assert refused.reason.startswith(f"{field}: ")
    assert says in refused.reason


def test_a_requirement_named_twice_is_told_with_its_task() -> None:
    twice = PlanTaskSpec(task_id="b", requires=(RequirementSpec("x"), RequirementSpec("x")))
    refused = company().refused(plan(part("a"), twice))
    assert (refused.code, refused.details["field"]) == ("duplicate", "tasks.1.requires")


@pytest.mark.parametrize("name", ["ghost", "release", "release.a"])
def test_an_unknown_dependency_is_told_with_its_task(name: str) -> None:
    """Ids within the plan are short ones; the plan itself is nothing to wait for."""
    refused = company().refused(plan(part("a"), part("b", after=["a", name])))
    assert isinstance(refused, NotFound)
    assert refused.code == "unknown_task"
    assert refused.details == {"field": "tasks.1.depends_on", "task_id": name}
    assert f"there is no task {name}, neither in the plan nor outside" in refused.reason


def test_a_finished_plan_keeps_its_id() -> None:
    domain = company(plan(part("a")))
    do(domain, "release.a")
    assert domain.refused(plan(part("b"))).code == "already_exists"


def test_the_team_must_be_known() -> None:
    assert company().refused(plan(part("a"), team="crew")).code == "unknown_team"


# ── cycles


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        (("a", "a"), "a a"),
        (("a", "b", "a"), "a b a"),
        (("d", "c", "b", "d"), "b d c b"),
    ],
)
def test_a_cycle_is_named(edges: Sequence[str], cycle: str) -> None:
    tasks = [part(one, after=[other]) for one, other in pairwise(edges)]
    refused = company().refused(plan(part("free"), part("on", after=[edges[0]]), *tasks))
    assert (refused.code, refused.details["field"]) == ("cycle", "tasks")
    assert refused.details["cycle"] == cycle.split()
    assert cycle.replace(" ", " -> ") in refused.reason


def test_what_only_waits_for_a_cycle_is_no_part_of_it() -> None:
    tasks = [part("a", after=["b"]), part("b", after=["c"]), part("c", after=["d"])]
    refused = company().refused(plan(*tasks, part("d", after=["c"])))
    assert refused.details["cycle"] == ["c", "d", "c"]


def test_the_longest_cycle_is_found_in_time_and_told_in_short() -> None:
    tasks = [part(f"t{n:05}", after=[f"t{(n + 1) % MAX_TASKS:05}"]) for n in range(MAX_TASKS)]
    command, domain = plan(*tasks), company()
    started = time.process_time()
    with pytest.raises(Rejected) as caught:
        domain.decide(command)
    assert time.process_time() - started < 10
    assert len(caught.value.details["cycle"]) == 100
    assert "t00000 -> t00001 -> " in caught.value.reason
    assert len(caught.value.reason) < 300


def test_a_dense_plan_without_a_cycle_is_accepted() -> None:
    tasks = [part(f"t{n}", after=[f"t{k}" for k in range(n)]) for n in range(100)]
    domain = company(plan(*reversed(tasks)))
    for n in range(100):
        ready = [t for t, status in domain.statuses().items() if status == "ready"]
        assert ready == [f"release.t{n}"]
        do(domain, f"release.t{n}")
    assert roll_up(domain) == ("completed", 100, 0, 0)


# ── dependencies outside the plan


OUTSIDE: list[tuple[str, EdgePolicy, str | None, str | None]] = [
    ("completed", "block", "ready", None),
    ("completed", "cancel", "ready", None),
    ("completed", "continue", "ready", None),
    ("failed", "block", "blocked", "dependency old failed"),
    ("failed", "cancel", None, None),
    ("failed", "continue", "ready", None),
    ("cancelled", "block", "blocked", "dependency old cancelled"),
    ("cancelled", "cancel", None, None),
    ("cancelled", "continue", "ready", None),
]


@pytest.mark.parametrize(("ended", "policy", "status", "reason"), OUTSIDE)
def test_a_task_outside_that_has_ended(
    ended: str, policy: EdgePolicy, status: str | None, reason: str | None
) -> None:
    domain = company(task("old"))
    if ended == "completed":
        do(domain, "old")
    else:
        ends_badly(domain, ended, "old")
    command = plan(part("x"), part("a", after=[edge("old", policy)]))
    if status is None:
        refused = domain.refused(command)
        assert (refused.code, refused.details["field"]) == (
            "dependency_failed",
            "tasks.1.depends_on",
        )
        assert f"task old is already {ended}" in refused.reason
        return
    domain.given(command)
    assert (domain.task("release.a").status, domain.task("release.a").reason) == (status, reason)


@pytest.mark.parametrize("status", ["blocked", "ready", "assigned", "running", "retried"])
@pytest.mark.parametrize("policy", ["block", "cancel", "continue"])
def test_a_task_outside_that_is_open_is_waited_for(status: str, policy: EdgePolicy) -> None:
    domain = company(task("before"), task("old", after=["before"] if status == "blocked" else ()))
    if status in ("assigned", "running", "retried"):
        domain.given(assign("old"))
    if status == "running":
        domain.given(StartTask(task_id="old", agent_id="ann", attempt=1))
    if status == "retried":
        domain.given(fail("old"))
    domain.given(plan(part("a", after=[edge("old", policy)])))
    assert (domain.task("release.a").status, domain.task("release.a").waiting_on) == ("blocked", 1)
    domain.given(cancel("old"))
    after = {"block": "blocked", "cancel": "cancelled", "continue": "ready"}[policy]
    assert domain.task("release.a").status == after
    assert domain.task("release").status == ("failed" if policy == "cancel" else "running")


def test_plans_may_wait_for_tasks_of_other_plans_and_for_whole_plans() -> None:
    domain = company(plan(part("a"), part("b"), plan_id="one"))
    domain.given(
        plan(part("c", after=["one.a"]), part("d", after=["one"]), plan_id="two"),
        task("last", after=["two"]),
    )
    do(domain, "one.a")
    assert (domain.task("two.c").status, domain.task("two.d").status) == ("ready", "blocked")
    do(domain, "one.b")
    assert domain.task("two.d").status == "ready"
    do(do(domain, "two.c"), "two.d")
    assert (domain.task("two").status, domain.task("last").status) == ("completed", "ready")


# ── edges within the plan


@pytest.mark.parametrize("how", ["failed", "cancelled"])
@pytest.mark.parametrize(
    ("policy", "status", "of_plan"),
    [
        ("block", "blocked", ("running", 2, 1, 1)),
        ("cancel", "cancelled", ("failed", 2, 0, 2)),
        ("continue", "ready", ("running", 2, 1, 1)),
    ],
)
def test_each_edge_says_what_a_bad_end_means(
    how: str, policy: EdgePolicy, status: str, of_plan: tuple[str, int, int, int]
) -> None:
    domain = company(plan(part("a"), part("b", after=[edge("a", policy)])))
    ends_badly(domain, how, "release.a")
    assert domain.task("release.b").status == status
    assert roll_up(domain) == of_plan


def test_a_failure_cancels_what_comes_after_it_and_nothing_else() -> None:
    domain = company(plan(part("a"), part("b", after=["a"]), part("c", after=["b"]), part("other")))
    fails(domain, "release.a")
    assert domain.statuses() == {
        "release": "running",
        "release.a": "failed",
        "release.b": "cancelled",
        "release.c": "cancelled",
        "release.other": "ready",
    }
    assert domain.task("release.c").reason == "dependency release.b cancelled"
    assert roll_up(domain) == ("running", 4, 1, 3)
    do(domain, "release.other")
    assert roll_up(domain) == ("failed", 4, 0, 3)
    assert domain.task("release").reason == "3 of 4 tasks did not complete"


# ── roll-up


def test_a_plan_completes_with_its_last_task_and_not_before() -> None:
    domain = company(plan(part("a"), part("b"), part("c")))
    for n, name in enumerate("abc"):
        assert roll_up(domain) == ("running", 3, 3 - n, 0)
        do(domain.pass_seconds(1), f"release.{name}")
    assert roll_up(domain) == ("completed", 3, 0, 0)
    done = domain.task("release")
    assert (done.started_at, done.finished_at, done.reason) == (START, START + 3000, None)


@pytest.mark.parametrize("how", ["failed", "cancelled", "expired", "policy"])
def test_a_plan_fails_with_its_last_task_whatever_its_end(how: str) -> None:
    domain = company(plan(part("a"), part("b", retry=ONCE)))
    do(domain, "release.a")
    if how == "cancelled":
        domain.given(cancel("release.b"))
    elif how == "expired":
        domain.given(assign("release.b")).pass_seconds(61)
        domain.given(ExpireLease(task_id="release.b", attempt=1))
    else:
        domain.given(assign("release.b"), fail("release.b", retryable=how == "policy"))
    assert roll_up(domain) == ("failed", 2, 0, 1)
    assert domain.task("release").reason == "1 of 2 tasks did not complete"


def test_an_earlier_failure_makes_the_plan_fail_when_the_last_task_completes() -> None:
    domain = company(plan(part("a"), part("b")))
    fails(domain, "release.a")
    assert domain.task("release").status == "running"
    do(domain, "release.b")
    assert roll_up(domain) == ("failed", 2, 0, 1)


def test_an_attempt_that_will_be_retried_does_not_count() -> None:
    domain = company(plan(part("a")), claim(), fail("release.a"))
    assert roll_up(domain) == ("running", 1, 1, 0)
    domain.given(cancel("release.a"))
    assert roll_up(domain) == ("failed", 1, 0, 1)


def test_retiring_an_agent_gives_tasks_of_a_plan_back_and_ends_nothing() -> None:
    domain = company(plan(part("a")), claim(), RetireAgent(agent_id="ann", force=True))
    assert domain.task("release.a").status == "ready"
    assert roll_up(domain) == ("running", 1, 1, 0)


# ── cancelling


def test_cancelling_a_plan_cancels_what_is_open_and_frees_who_holds_it() -> None:
    domain = company(
        plan(part("a"), part("b"), part("c"), part("d", after=["c"]), part("e", retry=ONCE))
    )
    do(domain, "release.a")
    domain.given(assign("release.b"), assign("release.c"))
    domain.given(StartTask(task_id="release.c", agent_id="ann", attempt=1))
    assert domain.agent().active == 2
    domain.pass_seconds(1).given(cancel(reason="enough"))
    assert roll_up(domain) == ("cancelled", 5, 0, 4)
    assert domain.agent().active == 0
    cancelled = domain.task("release")
    assert (cancelled.reason, cancelled.finished_at) == ("enough", START + 1000)
    assert domain.statuses()["release.a"] == "completed"
    for name in "be":
        assert domain.task(f"release.{name}").reason == "plan release cancelled"
    assert domain.task("release.d").status == "cancelled"
    assert domain.state.index(Children).of("release") == ()


def test_who_holds_a_task_of_a_cancelled_plan_is_told_to_stop() -> None:
    domain = company(plan(part("a")), claim(), cancel())
    beat = Heartbeat(agent_id="ann", leases=(Lease("release.a", 1),))
    assert domain.nothing(beat)["leases"][0]["verdict"] == "cancel"
    assert domain.refused(complete("release.a")).code == "wrong_status"


def test_a_failed_attempt_that_waits_is_cancelled_with_the_plan() -> None:
    domain = company(plan(part("a")), claim(), fail("release.a"), cancel())
    its = domain.task("release.a")
    assert (its.status, its.retry_at) == ("cancelled", None)


@pytest.mark.parametrize("policy", ["block", "cancel", "continue"])
def test_cancelling_a_plan_reaches_what_waits_outside_by_its_edges(policy: EdgePolicy) -> None:
    domain = company(plan(part("a")), task("on_task", after=[edge("release.a", policy)]))
    domain.given(task("on_plan", after=[edge("release", policy)]), cancel())
    after = {"block": "blocked", "cancel": "cancelled", "continue": "ready"}[policy]
    assert (domain.task("on_task").status, domain.task("on_plan").status) == (after, after)


def test_a_cancelled_plan_takes_plans_that_depend_on_it_along() -> None:
    domain = company(plan(part("a"), part("b"), plan_id="one"))
    domain.given(
        plan(part("c", after=["one.a"]), part("d", after=["c"]), plan_id="two"),
        plan(part("e", after=["two"]), part("f"), plan_id="three"),
        task("after", after=[edge("three.e", "cancel")]),
        task("unlike", after=[edge("three", "cancel")]),
    )
    domain.given(claim(), cancel("one"))
    assert roll_up(domain, "one") == ("cancelled", 2, 0, 2)
    assert roll_up(domain, "two") == ("failed", 2, 0, 2)
    assert roll_up(domain, "three") == ("running", 2, 1, 1)
    assert (domain.task("after").status, domain.task("unlike").status) == ("cancelled", "blocked")
    assert domain.agent().active == 0


def test_a_finished_plan_cannot_be_cancelled_and_a_cancelled_one_already_is() -> None:
    domain = company(plan(part("a")), plan(part("a"), plan_id="other"), cancel("other"))
    do(domain, "release.a")
    refused = domain.refused(cancel())
    assert (refused.code, refused.details["status"]) == ("wrong_status", "completed")
    assert domain.nothing(cancel("other"))["task_id"] == "other"


def test_a_chain_as_long_as_a_plan_can_be_is_cancelled_in_one_step() -> None:
    """No recursion; a part of the longest plan says as much."""
    tasks = [part(f"t{n}", after=[f"t{n - 1}"] if n else []) for n in range(5000)]
    domain = company(plan(*tasks), cancel("release.t0"))
    assert roll_up(domain) == ("failed", 5000, 0, 5000)


# ── nobody does a plan


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (assign("release"), "wrong_status"),
        (StartTask(task_id="release", agent_id="ann", attempt=1), "fenced"),
        (complete("release"), "fenced"),
        (fail("release"), "fenced"),
    ],
)
def test_a_plan_is_held_by_nobody(command: Command, code: str) -> None:
    assert company(plan(part("a"))).refused(command).code == code


def test_a_plan_is_not_claimed_and_has_no_lease_to_run_out() -> None:
    domain = company(plan(part("a", {"sql": 1})))
    assert domain.nothing(claim())["reason"] == "no_ready_task"
    assert domain.nothing(ExpireLease(task_id="release", attempt=1)) == {}


# ── teams and staff


def test_a_plans_tasks_are_for_its_team() -> None:
    domain = company(agent("bob"), form(members=["bob"]), plan(part("a"), team="crew"))
    assert domain.task("release").team_id == "crew"
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "release.a"


def test_disbanding_a_plans_team_opens_it_to_everybody() -> None:
    domain = company(agent("bob"), form(members=["bob"]), plan(part("a"), part("b"), team="crew"))
    refused = domain.refused(DisbandTeam(team_id="crew"))
    assert refused.details["task_ids"] == ["release", "release.a", "release.b"]
    domain.given(DisbandTeam(team_id="crew", force=True))
    assert domain.task("release").team_id is None
    assert domain.event(claim("ann"), TaskClaimed).task_id == "release.a"


def test_a_team_is_formed_from_what_the_plan_requires_in_one_step() -> None:
    domain = Domain().given(
        agent("ann", {"py": 800}), agent("bob", {"py": 300, "go": 500}), agent("cat", {"sql": 1})
    )
    command = plan(
        part("a", {"py": 700}), part("b", {"py": 200}), part("c", {"go": 100}), form_team=TeamSpec()
    )
    event = domain.event(command, PlanSubmitted)
    assert event.team == (Member("ann", "member"), Member("bob", "member"))
    assert event.team_id is not None
    team = domain.team(event.team_id)
    assert (team.goal, team.max_size) == ("Release", 20)
    assert team.requires == (Requirement("go", 100), Requirement("py", 700))
    assert list(domain.members(event.team_id)) == ["ann", "bob"]
    assert event.reply()["team_id"] == domain.task("release").team_id == team.id
    assert domain.event(claim("ann"), TaskClaimed).task_id == "release.a"


def test_the_formed_teams_goal_can_be_another() -> None:
    spec = TeamSpec(goal="Hurry", max_size=2)
    domain = company(plan(part("a", {"python": 1}), form_team=spec))
    team = domain.team(domain.task("release").team_id or "")
    assert (team.goal, team.max_size) == ("Hurry", 2)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (
            plan(part("a", {"sql": 1}), form_team=TeamSpec()),
            "uncovered",
            "nobody available has sql",
        ),
        (plan(part("a"), form_team=TeamSpec()), "nothing_required", "no task requires"),
        (
            plan(part("a", {"py": 1}), part("b", {"go": 1}), form_team=TeamSpec(max_size=1)),
            "team_too_small",
            "1 agents cannot cover go",
        ),
    ],
)
def test_a_team_that_cannot_be_formed_means_no_plan(
    command: SubmitPlan, code: str, says: str
) -> None:
    domain = Domain().given(agent("ann", {"py": 1}), agent("bob", {"go": 1}))
    refused = domain.refused(command)
    assert (refused.code, refused.details["field"]) == (code, "form_team")
    assert refused.reason.startswith("form_team: ")
    assert says in refused.reason


def test_what_nobody_can_do_is_told_and_waits() -> None:
    domain = Domain().given(agent("ann", {"py": 500, "go": 900}), agent("bob", {"sql": 900}))
    command = plan(
        part("fine", {"py": 500}),
        part("level", {"py": 501}),
        part("unknown", {"rust": 0}),
        part("together", {"go": 1, "sql": 1}),
    )
    assert domain.event(command, PlanSubmitted).unstaffed == ("go", "py", "rust", "sql")
    assert domain.task("release.unknown").status == "ready"


def test_a_long_list_of_what_nobody_can_do_is_cut() -> None:
    tasks = [part(f"t{n}", {f"capability-{n}-{k}": 1 for k in range(40)}) for n in range(50)]
    event = company().event(plan(*tasks), PlanSubmitted)
    assert len(event.unstaffed) == 1000
