"""The shape of a workflow: critical path, width, the ideal schedule, and who is hired for it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.plan import MAX_AGENTS, make_plan, new_run_id
from agent_orchestration.workers.program_names import ID_PATTERN
from agent_orchestration.workers.schedule import critical_path, ideal_makespan, levels, widths
from agent_orchestration.workers.wfformat import Workflow, WorkflowTask


def task(name: str, seconds: float, *parents: str, needs: str = "work") -> WorkflowTask:
    return WorkflowTask(
        id=name,
        name=name,
        program=needs,
        capability=needs,
        runtime_seconds=seconds,
        parents=parents,
    )


def workflow(*tasks: WorkflowTask) -> Workflow:
    return Workflow(name="a sample", description="", tasks=tasks)


DIAMOND = (task("a", 1), task("b", 5, "a"), task("c", 2, "a"), task("d", 3, "b", "c"))


def test_the_critical_path_is_the_longest_chain_in_time() -> None:
    path = critical_path(DIAMOND)
    assert path.tasks == ("a", "b", "d")
    assert path.seconds == 9


def test_the_critical_path_of_tasks_without_time_is_a_chain_too() -> None:
    assert critical_path((task("a", 0), task("b", 0, "a"))).seconds == 0


def test_a_level_depends_on_earlier_levels_only() -> None:
    assert [[one.id for one in level] for level in levels(DIAMOND)] == [["a"], ["b", "c"], ["d"]]


def test_the_width_counts_each_capability_for_itself() -> None:
    tasks = (task("a", 1), task("b", 1), task("c", 1, needs="check"), task("d", 1, "a", "b"))
    assert widths(tasks) == {"work": 2, "check": 1}


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [([["work"]], 11), ([["work"], ["work"]], 9), ([["work"]] * 5, 9), ([["work", "more"]], 11)],
)
def test_the_ideal_schedule_keeps_every_agent_busy(agents: list[list[str]], seconds: float) -> None:
    assert ideal_makespan(DIAMOND, agents) == seconds


def test_the_ideal_schedule_gives_out_the_oldest_ready_task_first() -> None:
    tasks = (task("a", 1), task("b", 10), task("c", 1))
    assert ideal_makespan(tasks, [["work"], ["work"]]) == 10
    assert ideal_makespan((task("a", 1), task("c", 1), task("b", 10)), [["work"]] * 2) == 11


def test_the_ideal_schedule_sends_tasks_to_who_can_do_them() -> None:
    tasks = (task("a", 4), task("b", 3, needs="check"), task("c", 2, "b"))
    assert ideal_makespan(tasks, [["work"], ["check"]]) == 6
    assert ideal_makespan(tasks, [["work"], ["check", "work"]]) == 5


def test_the_ideal_schedule_needs_somebody_for_every_task() -> None:
    with pytest.raises(ValueError, match="lack a capability"):
        ideal_makespan(DIAMOND, [["other"]])


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    tasks: list[WorkflowTask] = []
    for number in range(draw(st.integers(1, 25))):
        parents = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set[int]()
        needs = draw(st.sampled_from(["cut", "glue", "paint"]))
        seconds = draw(st.integers(0, 20))
        tasks.append(task(f"t{number}", seconds, *(f"t{p}" for p in sorted(parents)), needs=needs))
    return workflow(*tasks)


@given(workflows(), st.one_of(st.none(), st.integers(1, 12)))
def test_no_schedule_beats_the_critical_path_or_the_work(
    sample: Workflow, agents: int | None
) -> None:
    plan = make_plan(sample, "run", agents)
    teams = [agent.capabilities for agent in plan.agents]
    assert {c for team in teams for c in team} == set(sample.capabilities)
    work = sum(one.runtime_seconds for one in sample.tasks)
    makespan = ideal_makespan(sample.tasks, teams)
    assert makespan <= work
    assert makespan >= critical_path(sample.tasks).seconds
    assert makespan * len(teams) >= work


@given(workflows(), st.integers(3, 40))
def test_the_number_of_agents_is_the_one_asked_for(sample: Workflow, agents: int) -> None:
    assert len(make_plan(sample, "run", agents).agents) == agents


def test_by_default_the_busiest_capability_has_the_most_agents() -> None:
    many = [task(f"m{n}", 9) for n in range(50)]
    few = [task(f"f{n}", 1, needs="check") for n in range(50)]
    plan = make_plan(workflow(*many, *few), "run", None)
    counts = [sum(agent.capabilities == (c,) for agent in plan.agents) for c in ("work", "check")]
    assert sum(counts) == 32
    assert counts[0] > 4 * counts[1]
    assert "32" in plan.chosen


def test_by_default_nobody_is_hired_who_could_not_work() -> None:
    assert len(make_plan(workflow(*DIAMOND), "run", None).agents) == 2


def test_many_capabilities_are_shared_out() -> None:
    tasks = [task(f"t{n}", 1, needs=f"c{n}") for n in range(7000)]
    plan = make_plan(workflow(*tasks), "run", None)
    assert len(plan.agents) == 35
    assert max(len(agent.capabilities) for agent in plan.agents) == 200
    with pytest.raises(Rejected, match="7000 capabilities need 35 to"):
        make_plan(workflow(*tasks), "run", 34)


@pytest.mark.parametrize("agents", [0, -1, MAX_AGENTS + 1])
def test_a_senseless_number_of_agents_is_refused(agents: int) -> None:
    with pytest.raises(Rejected, match=f"--agents: {agents}"):
        make_plan(workflow(*DIAMOND), "run", agents)


@pytest.mark.parametrize("run_id", ["", "a b", "x" * 41, "-a", "ü", "a\n"])
def test_a_run_id_is_checked(run_id: str) -> None:
    with pytest.raises(Rejected, match="--run-id"):
        make_plan(workflow(*DIAMOND), run_id, None)


def test_the_same_run_id_gives_the_same_tasks_and_new_agents() -> None:
    first, second = (make_plan(workflow(*DIAMOND), "run", None) for _ in range(2))
    assert first.ids == second.ids == {name: f"run.{name}" for name in "abcd"}
    assert not {a.id for a in first.agents} & {a.id for a in second.agents}


def test_every_id_is_valid_on_the_platform() -> None:
    odd = workflow(task("a b", 1), task("ü" * 300, 1), task("x" * 200, 1))
    plan = make_plan(odd, new_run_id(odd), None)
    for one in (*plan.ids.values(), *(agent.id for agent in plan.agents)):
        assert ID_PATTERN.fullmatch(one)
    assert plan.run_id.startswith("a-sample-")


def test_ids_that_become_the_same_are_refused() -> None:
    (cleaned,) = make_plan(workflow(task("a b", 1)), "run", None).ids.values()
    with pytest.raises(Rejected, match="become the same"):
        make_plan(workflow(task("a b", 1), task(cleaned.removeprefix("run."), 1)), "run", None)


def test_a_chain_of_many_tasks_is_no_obstacle() -> None:
    tasks = [task(f"t{n}", 1, *([f"t{n - 1}"] if n else [])) for n in range(20_000)]
    assert critical_path(tasks).seconds == ideal_makespan(tasks, [["work"]]) == 20_000
    assert all(len(level) == 1 for level in levels(tasks))
    path = critical_path(tasks).tasks
    assert all(int(b[1:]) == int(a[1:]) + 1 for a, b in pairwise(path))
