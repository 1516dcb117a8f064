"""Teams: who is chosen, who may do their tasks, and how they end."""

from collections.abc import Mapping

import pytest

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import DrainAgent, ExpireAgent, RetireAgent
from agent_orchestration.domain.agents.events import AgentRetired
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.domain.tasks.events import TaskAssigned, TaskClaimed, TaskCreated
from agent_orchestration.domain.tasks.model import Requirement, RetryPolicy
from agent_orchestration.domain.teams.commands import DisbandTeam, MemberSpec, UpdateTeam
from agent_orchestration.domain.teams.events import TeamDisbanded, TeamFormed, TeamUpdated
from agent_orchestration.domain.teams.index import TeamTasks
from agent_orchestration.domain.teams.model import Member
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, assign, claim, complete, fail, form, heartbeat, task


def company(agents: Mapping[str, Mapping[str, int]], *commands: Command) -> Domain:
    """Agents with these levels, each with room for two tasks."""
    hired = [agent(name, skills, at_once=2) for name, skills in agents.items()]
    return Domain().given(*hired, *commands)


def update(
    *, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), goal: str | None = None
) -> UpdateTeam:
    joining = tuple(MemberSpec(name) for name in add)
    return UpdateTeam(team_id="crew", goal=goal, add=joining, remove=remove)


def lead(agent_id: str) -> UpdateTeam:
    return UpdateTeam(team_id="crew", add=(MemberSpec(agent_id, "lead"),))


def disband(*, force: bool = False) -> DisbandTeam:
    return DisbandTeam(team_id="crew", force=force, reason="shipped")


# ── who is chosen


def test_a_team_has_the_members_that_were_named() -> None:
    domain = company({"ann": {}, "bob": {}})
    formed = domain.event(form(members=["bob", "ann"]), TeamFormed)
    assert formed == TeamFormed(
        team_id="crew",
        goal="Ship it",
        requires=(),
        members=(Member("ann", "member"), Member("bob", "member")),
        max_size=20,
    )
    team = domain.team()
    assert (team.goal, team.status, team.formed_at) == ("Ship it", "active", START)
    assert domain.members() == {"ann": "member", "bob": "member"}


@pytest.mark.parametrize(
    ("agents", "requires", "chosen"),
    [
        # coverage before everything else
        ({"a": {"py": 1000}, "b": {"go": 1000}, "c": {"py": 100, "go": 100}}, ("py", "go"), "c"),
        # of those that cover as much, the highest levels
        ({"a": {"py": 500}, "b": {"py": 900}}, ("py",), "b"),
        ({"a": {"py": 900, "go": 100}, "b": {"py": 600, "go": 500}}, ("py", "go"), "b"),
        # of equals, the first by id
        ({"b": {"py": 900}, "a": {"py": 900}}, ("py",), "a"),
        # then who covers most of what is still missing
        (
            {"a": {"py": 900, "go": 900}, "b": {"py": 999, "sql": 10}, "c": {"sql": 9}},
            ("py", "go", "sql"),
            "ab",
        ),
        # a level for something that is covered by now does not count
        ({"a": {"x": 500, "y": 500}, "b": {"z": 600}, "c": {"x": 100, "z": 500}}, "xyz", "ab"),
    ],
)
def test_members_are_chosen_by_coverage_then_level_then_id(
    agents: Mapping[str, Mapping[str, int]], requires: tuple[str, ...], chosen: str
) -> None:
    domain = company(agents, form(requires=dict.fromkeys(requires, 0)))
    assert "".join(domain.members()) == chosen


def test_of_equals_the_one_with_less_to_do_is_chosen() -> None:
    domain = company({"ann": {"py": 500}, "bob": {"py": 500}}, task(), assign("parse", "ann"))
    domain.given(form(requires={"py": 500}))
    assert list(domain.members()) == ["bob"]


def test_the_level_goes_before_the_load() -> None:
    domain = company({"ann": {"py": 501}, "bob": {"py": 500}}, task(), assign("parse", "ann"))
    domain.given(form(requires={"py": 500}))
    assert list(domain.members()) == ["ann"]


def test_what_named_members_cover_is_not_looked_for() -> None:
    domain = company({"ann": {"py": 500}, "bob": {"py": 900}, "cat": {"go": 100}})
    domain.given(form(requires={"py": 500, "go": 0}, members=["ann"]))
    assert list(domain.members()) == ["ann", "cat"]


def test_a_named_member_below_the_level_covers_nothing() -> None:
    domain = company({"ann": {"py": 499}, "bob": {"py": 900}})
    domain.given(form(requires={"py": 500}, members=["ann"]))
    assert list(domain.members()) == ["ann", "bob"]


def test_a_covered_team_is_filled_up_with_those_who_meet_a_requirement() -> None:
    domain = company({"ann": {"py": 900}, "bob": {"py": 800}, "cat": {"py": 100}, "dan": {}})
    domain.given(form(requires={"py": 500}, min_size=2))
    assert list(domain.members()) == ["ann", "bob"]
    refused = domain.refused(form("more", requires={"py": 500}, min_size=3))
    assert (refused.code, refused.details["field"]) == ("too_few_agents", "min_size")
    assert "3 members are asked for, and only 2 can be found" in refused.reason


def test_without_requirements_those_with_least_to_do_are_chosen() -> None:
    domain = company({"ann": {}, "bob": {"py": 900}, "cat": {}}, task(), assign("parse", "ann"))
    domain.given(form(), form("pair", members=["ann"], min_size=2), form("all", min_size=3))
    assert list(domain.members()) == ["bob"]
    assert list(domain.members("pair")) == ["ann", "bob"]
    assert list(domain.members("all")) == ["ann", "bob", "cat"]


def test_filling_up_prefers_those_with_less_to_do() -> None:
    levels = {"ann": {"py": 900}, "bob": {"py": 800}, "cat": {"py": 700}}
    domain = company(levels, task(), assign("parse", "bob"))
    domain.given(form(requires={"py": 500}, min_size=2))
    assert list(domain.members()) == ["ann", "cat"]


def test_choosing_from_many_is_the_same_as_choosing_step_by_step() -> None:
    """Ranks are not computed anew for everybody at each step; the result must not show it."""
    names = [f"c{n}" for n in range(12)]
    agents = {
        f"agent-{n:02}": {
            name: (n * 37 + k * 101) % 1000
            for k, name in enumerate(names)
            if (n * 5 + k * k + n // 7) % 4 == 0
        }
        for n in range(60)
    }
    domain = company(agents, form(requires=dict.fromkeys(names, 200), min_size=10))
    missing, expected = set(names), list[str]()
    able = {a: {c for c, lv in has.items() if lv >= 200} for a, has in agents.items()}

    def rank(one: str) -> tuple[int, int, str]:
        covers = able[one] & missing
        return -len(covers), -sum(agents[one][c] for c in covers), one

    while missing or len(expected) < 10:
        best = min((one for one in able if one not in expected and able[one]), key=rank)
        expected.append(best)
        missing -= able[best]
    assert list(domain.members()) == sorted(expected)


@pytest.mark.parametrize(
    "away", [DrainAgent(agent_id="ann"), RetireAgent(agent_id="ann")], ids=["draining", "retired"]
)
def test_who_takes_no_work_is_not_chosen(away: Command) -> None:
    domain = company({"ann": {"py": 900}, "bob": {"py": 100}}, away, form(requires={"py": 0}))
    assert list(domain.members()) == ["bob"]


def test_who_is_offline_is_not_chosen_but_may_be_named() -> None:
    domain = Domain().given(agent("ann", {"py": 900}, heartbeat_seconds=1), agent("bob", {"py": 1}))
    domain.pass_seconds(2).given(ExpireAgent(agent_id="ann"), form(requires={"py": 0}))
    assert list(domain.members()) == ["bob"]
    domain.given(form("other", members=["ann"]))
    assert list(domain.members("other")) == ["ann"]


# ── refusals of forming


@pytest.mark.parametrize(
    ("command", "code", "field", "says"),
    [
        (form(requires={"rust": 0}), "uncovered", "requires", "has rust at that level"),
        (form(requires={"py": 901}), "uncovered", "requires", "has py at that level"),
        (form(min_size=3), "too_few_agents", "min_size", "3 members are asked for, and only 2"),
        (form(min_size=3, members=["ann"]), "too_few_agents", "min_size", "3 members are asked"),
        (
            form(requires={"py": 0, "go": 0}, max_size=1),
            "team_too_small",
            "max_size",
            "1 agents cannot cover go",
        ),
        (form(min_size=3, max_size=2), "invalid_argument", "min_size", "3 is more than max_size"),
        (form(members=["ann", "bob"], max_size=1), "team_full", "members", "2 are named"),
        (form(members=["ann", "ann"]), "duplicate", "members", "ann is named twice"),
        (form(members=["old"]), "agent_retired", "members", "agent old is retired"),
    ],
)
def test_a_team_that_cannot_be_is_refused(
    command: Command, code: str, field: str, says: str
) -> None:
    levels = {"ann": {"py": 900}, "bob": {"go": 900}, "old": {"rust": 1000}}
    domain = company(levels, RetireAgent(agent_id="old"))
    refused = domain.refused(command)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.details["field"]) == (code, field)
    assert refused.reason.startswith(f"{field}: ")
    assert says in refused.reason


def test_what_is_not_covered_is_told() -> None:
    domain = company({"ann": {"py": 900}})
    refused = domain.refused(form(requires={"py": 500, "sql": 0, "go": 0}))
    assert refused.details["uncovered"] == ["go", "sql"]
    assert "nobody available has go, sql at that level" in refused.reason


def test_a_long_list_of_what_is_not_covered_is_cut() -> None:
    needs = {f"c{n:02}": 0 for n in range(50)}
    refused = company({"ann": {"py": 1}}).refused(form(requires=needs))
    assert "c00, c01, c02, c03, c04 and 45 more" in refused.reason


def test_a_member_must_be_known() -> None:
    refused = Domain().refused(form(members=["ghost"]))
    assert isinstance(refused, NotFound)
    assert (refused.code, refused.details["agent_id"]) == ("unknown_agent", "ghost")


@pytest.mark.parametrize("disbanded", [False, True])
def test_the_id_must_be_free(disbanded: bool) -> None:
    domain = company({"ann": {}}, form(members=["ann"]))
    if disbanded:
        domain.given(disband())
    refused = domain.refused(form(members=["ann"]))
    assert (refused.code, refused.details["team_id"]) == ("already_exists", "crew")


def test_a_capability_named_twice_is_refused() -> None:
    command = form(requires={"py": 1})
    twice = type(command)(goal="x", requires=(*command.requires, *command.requires))
    assert company({"ann": {"py": 1}}).refused(twice).code == "duplicate"


def test_a_team_without_an_id_gets_one_of_its_own() -> None:
    domain = company({"ann": {}})
    first = domain.event(form(None, members=["ann"]), TeamFormed).team_id
    second = domain.event(form(None, members=["ann"]), TeamFormed).team_id
    assert first != second
    assert first.startswith("team-")
    assert [m.team_id for m in domain.agent().memberships] == sorted([first, second])


# ── changing a team


def test_members_come_and_go() -> None:
    domain = company({"ann": {}, "bob": {}, "cat": {}}, form(members=["ann", "bob"]))
    event = domain.event(update(add=("cat",), remove=("ann", "ghost")), TeamUpdated)
    assert event == TeamUpdated(team_id="crew", joined=(Member("cat", "member"),), left=("ann",))
    assert domain.members() == {"bob": "member", "cat": "member"}
    assert domain.agent("ann").memberships == ()


def test_naming_a_member_again_changes_its_role() -> None:
    domain = company({"ann": {}}, form(members=["ann"]))
    domain.event(lead("ann"), TeamUpdated)
    assert domain.members() == {"ann": "lead"}
    assert len(domain.agent().memberships) == 1


def test_another_goal() -> None:
    domain = company({"ann": {}}, form(members=["ann"]), update(goal="Ship it twice"))
    assert domain.team().goal == "Ship it twice"
    assert domain.members() == {"ann": "member"}


@pytest.mark.parametrize(
    "command",
    [update(), update(add=("ann",)), update(remove=("bob",)), update(goal="Ship it")],
    ids=["nothing", "a member", "no member", "the same goal"],
)
def test_what_changes_nothing_is_nothing_to_do(command: Command) -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann"]))
    assert domain.nothing(command) == {"team_id": "crew"}


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (update(add=("ann",), remove=("ann",)), "duplicate", "remove"),
        (update(add=("bob",), remove=("bob",)), "duplicate", "remove"),
        (update(add=("bob", "bob")), "duplicate", "add"),
        (update(add=("ghost",)), "unknown_agent", "add"),
        (update(add=("old",)), "agent_retired", "add"),
        (update(add=("bob", "cat")), "team_full", "add"),
    ],
)
def test_a_change_that_cannot_be_is_refused(command: Command, code: str, field: str) -> None:
    domain = company({"ann": {}, "bob": {}, "cat": {}, "old": {}}, RetireAgent(agent_id="old"))
    domain.given(form(members=["ann"], max_size=2))
    refused = domain.refused(command)
    assert (refused.code, refused.details["field"]) == (code, field)
    assert refused.reason.startswith(f"{field}: ")


def test_who_leaves_makes_room_for_who_comes() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann"], max_size=1))
    domain.given(update(add=("bob",), remove=("ann",)))
    assert list(domain.members()) == ["bob"]


@pytest.mark.parametrize("command", [update(goal="x"), disband(), task(team="crew")])
def test_a_team_must_be_known(command: Command) -> None:
    refused = Domain().refused(command)
    assert isinstance(refused, NotFound)
    assert (refused.code, refused.details["field"]) == ("unknown_team", "team_id")


@pytest.mark.parametrize("command", [update(goal="x"), task(team="crew")])
def test_a_disbanded_team_is_given_nothing_any_more(command: Command) -> None:
    domain = company({"ann": {}}, form(members=["ann"]), disband())
    assert domain.refused(command).code == "team_disbanded"


# ── disbanding


def test_a_team_without_work_is_disbanded() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann", "bob"])).pass_seconds(1)
    event = domain.event(disband(), TeamDisbanded)
    assert event == TeamDisbanded(
        team_id="crew", left=("ann", "bob"), released=(), reason="shipped"
    )
    assert event.reply() == {"team_id": "crew", "released": 0}
    team = domain.team()
    assert (team.status, team.disbanded_at, team.reason) == (
        "disbanded",
        START + 1000,
        "shipped",
    )
    assert not team.is_live()
    assert domain.members() == {}
    assert domain.agent("ann").memberships == ()


def test_disbanding_again_is_nothing_to_do() -> None:
    domain = company({"ann": {}}, form(members=["ann"]), disband())
    assert domain.nothing(disband()) == {"team_id": "crew", "released": 0}


def test_a_team_with_work_is_disbanded_only_by_force() -> None:
    domain = company({"ann": {}}, form(members=["ann"]), task(team="crew"), task("b", team="crew"))
    domain.given(claim())
    refused = domain.refused(disband())
    assert (refused.code, refused.details["task_ids"]) == ("team_has_work", ["b", "parse"])
    assert "2 unfinished tasks (b, parse)" in refused.reason
    event = domain.event(disband(force=True), TeamDisbanded)
    assert event.released == ("b", "parse")
    assert event.reply()["released"] == 2
    assert domain.task("b").team_id is None


def test_finished_work_keeps_its_team_but_does_not_keep_it_busy() -> None:
    domain = company({"ann": {}}, form(members=["ann"]), task(team="crew"), task("b", team="crew"))
    domain.given(claim(), complete(), CancelTask(task_id="b"))
    assert domain.event(disband(), TeamDisbanded).released == ()
    assert domain.task("parse").team_id == "crew"


def test_what_a_disbanded_team_held_stays_with_its_holder_and_the_rest_is_for_everybody() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann"]), task("a", team="crew"))
    domain.given(task("b", team="crew"), claim("ann"), disband(force=True))
    assert domain.task("a").held_by("ann")
    assert domain.event(claim("bob"), TaskClaimed).task_id == "b"
    domain.given(complete("a"))
    assert domain.task("a").status == "completed"


def test_a_large_team_can_be_disbanded() -> None:
    """The answer must not grow with the tasks: it is kept in the graph."""
    domain = company({"ann": {}}, form(members=["ann"]))
    domain.given(*(task(f"a-task-{'x' * 100}-{n}", team="crew") for n in range(9000)))
    assert domain.event(disband(force=True), TeamDisbanded).reply()["released"] == 9000


# ── members only


def test_only_members_are_given_the_teams_tasks() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["bob"]))
    created = domain.event(task(team="crew"), TaskCreated)
    assert (created.team_id, domain.task().team_id) == ("crew", "crew")
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "parse"


def test_members_need_the_capabilities_as_well() -> None:
    domain = company({"ann": {}, "bob": {"py": 500}}, form(members=["ann", "bob"]))
    domain.given(task(requires={"py": 500}, team="crew"))
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "parse"


def test_members_do_other_work_too_by_priority() -> None:
    domain = company({"ann": {}}, form(members=["ann"]))
    domain.given(task("own", team="crew"), task("other", priority=1))
    assert domain.event(claim(), TaskClaimed).task_id == "other"
    assert domain.event(claim(), TaskClaimed).task_id == "own"


def test_a_task_of_a_team_is_assigned_to_members_only() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["bob"]), task(team="crew"))
    refused = domain.refused(assign("parse", "ann"))
    assert (refused.code, refused.details["field"]) == ("not_a_member", "agent_id")
    assert "task parse is for team crew" in refused.reason
    domain.event(assign("parse", "bob"), TaskAssigned)


def test_a_capability_cannot_pass_for_a_membership() -> None:
    """A membership stands among the capabilities under a name that no capability can have."""
    domain = company({"ann": {"crew": 1000, "team.crew": 1000}, "bob": {}})
    domain.given(form(members=["bob"]), task(team="crew"))
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"


def test_who_joins_may_claim_and_who_left_may_not() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann"]), task(team="crew"))
    domain.given(update(add=("bob",), remove=("ann",)))
    assert domain.nothing(claim("ann"))["reason"] == "no_ready_task"
    assert domain.event(claim("bob"), TaskClaimed).task_id == "parse"


def test_who_leaves_keeps_what_it_holds_but_gets_no_second_attempt() -> None:
    domain = company({"ann": {}}, form(members=["ann"]), task(team="crew"), claim())
    domain.given(update(remove=("ann",)))
    assert domain.nothing(heartbeat(parse=1))["leases"][0]["verdict"] == "continue"
    domain.given(fail(retry_after_ms=0))
    assert domain.task().status == "ready"
    assert domain.nothing(claim())["reason"] == "no_ready_task"


def test_a_task_that_comes_back_is_still_for_members() -> None:
    retry = RetryPolicy(initial_ms=0)
    domain = company({"ann": {}, "bob": {}}, form(members=["ann"]), task(team="crew", retry=retry))
    domain.given(claim(), fail())
    assert domain.nothing(claim("bob"))["reason"] == "no_ready_task"
    assert domain.event(claim("ann"), TaskClaimed).attempt == 2


def test_a_member_of_two_teams_does_the_work_of_both() -> None:
    domain = company({"ann": {}}, form("one", members=["ann"]), form("two", members=["ann"]))
    domain.given(task("a", team="one"), task("b", team="two"), claim(), claim())
    assert all(domain.task(name).held_by("ann") for name in "ab")


def test_a_retired_agent_leaves_its_teams() -> None:
    domain = company({"ann": {}, "bob": {}}, form(members=["ann", "bob"]), task(team="crew"))
    domain.given(claim("ann"))
    event = domain.event(RetireAgent(agent_id="ann", force=True), AgentRetired)
    assert event.requeued == ("parse",)
    assert domain.members() == {"bob": "member"}
    assert domain.agent("ann").memberships == ()
    assert domain.event(claim("bob"), TaskClaimed).attempt == 2


def test_a_team_knows_its_unfinished_tasks() -> None:
    domain = company({"ann": {}}, form(members=["ann"]))
    domain.given(task("a", team="crew"), task("b", team="crew", after=["a"]), task("c"))
    tasks = domain.state.index(TeamTasks)
    assert tasks.of("crew") == ("a", "b")
    domain.given(claim(), complete("a"))
    assert tasks.of("crew") == ("b",)


def test_what_a_team_was_formed_for_is_kept() -> None:
    domain = company({"ann": {"py": 900}}, form(requires={"py": 500}))
    assert domain.team().requires == (Requirement("py", 500),)
