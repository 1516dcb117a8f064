"""How much a decision looks at, counted and not timed: however much there is, what it is about."""

import pytest

from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.model import Agent, Membership, Skill
from agent_orchestration.domain.conversations.model import Conversation
from agent_orchestration.domain.plans.commands import TeamSpec
from agent_orchestration.domain.tasks.model import Assignment, Dependency, Requirement, Task
from tests.unit.domain import START, Domain
from tests.unit.examples import (
    assign,
    claim,
    complete,
    edge,
    fail,
    form,
    heartbeat,
    part,
    plan,
    progress,
    say,
    talk,
    task,
)

GROUPS = 20
"""So many different sets of requirements do the ready tasks have."""
FEW, MANY = 100, 10_000


def company(live: int) -> Domain:
    """Ann, a colleague per hundred tasks, and live tasks in all statuses."""
    domain = Domain()
    state = domain.state
    skills = tuple(sorted(Skill(f"c{n}", 500) for n in range(GROUPS)))
    state.load(Agent(id="ann", name="Ann", kind="llm", skills=skills, active=1, max_concurrency=9))
    state.load(held_task("mine", "ann", 0))
    for number in range(live // 100):
        agent_id = f"agent-{number}"
        state.load(Agent(id=agent_id, name="x", kind="llm", active=25, max_concurrency=99))
        for one in range(25):
            state.load(held_task(f"held-{number}-{one}", agent_id, number))
    for number in range(live // 2):
        requires = (Requirement(f"c{number % GROUPS}", number % 2 * 500),)
        state.load(live_task(f"ready-{number}", number, requires=requires))
    for number in range(live // 4):
        edges = (Dependency(f"held-{number // 25}-{number % 25}", "block"),)
        state.load(
            live_task(f"blocked-{number}", number, status="blocked", depends_on=edges, waiting_on=1)
        )
    assert sum(1 for _ in state.all(Task)) == live + 1
    return domain


def live_task(task_id: str, seq: int, **facts: object) -> Task:
    return Task(**{"id": task_id, "title": "x", "status": "ready", "created_seq": seq, **facts})  # type: ignore[arg-type]


def held_task(task_id: str, agent_id: str, seq: int) -> Task:
    return live_task(
        task_id,
        seq,
        status="running",
        attempt=1,
        lease_until=START + 60_000,
        assignment=Assignment(agent_id, 1, START),
    )


@pytest.fixture(scope="module")
def few() -> Domain:
    return company(FEW)


@pytest.fixture(scope="module")
def many() -> Domain:
    return company(MANY)


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (claim(), 2 + 2 * GROUPS),  # the agent, the task, one task of each group
        (complete("mine"), 2),
        (fail("mine"), 2),
        (progress("mine"), 1),
        (heartbeat(mine=1), 2),
        (assign("ready-1"), 2),
        (task("new"), 1),
        (task("new", agent_id="ann"), 1 + 1),
        (task("new", {"c0": 500}), 1 + 1),
        (task("new", {"c0": 400, "c1": 400}), 1 + 2),
        (task("new", after=["mine", edge("ready-1", "cancel"), "blocked-1"]), 1 + 3),
        (plan(part("a"), part("b", after=["a", "mine", "ready-1"]), plan_id="p"), 1 + 2 + 2),
        (form("new", {"c0": 500}), 1 + 1),
        (form("new", members=["ann"]), 1 + 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Command) else None,
)
def test_a_decision_looks_at_as_little_among_many_tasks_as_among_few(
    few: Domain, many: Domain, command: Command, most: int
) -> None:
    assert few.examined(command) == many.examined(command) <= most


def crowd(agents: int) -> Domain:
    """Agents who all have the same two capabilities, at levels of their own; nobody has both at
    half or more."""
    domain = Domain()
    for number in range(agents):
        level = number * 1000 // agents
        skills = (Skill("c0", level), Skill("c1", 999 - level))
        agent_id = f"agent-{number:04}"
        domain.state.load(Agent(id=agent_id, name="x", kind="llm", skills=skills))
    return domain


BOTH = {"c0": 500, "c1": 500}


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (task("new", {"c0": 999}), 1 + 1),
        (task("new", {"c0": 999, "c1": 0}), 1 + 2),
        (task("new", BOTH), 1 + 2),
        (plan(part("a", BOTH), part("b", BOTH, after=["a"]), plan_id="p"), 1 + 2 + 2),
        (form("new", members=["agent-0001"]), 1 + 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Command) else None,
)
def test_whether_anybody_can_do_it_is_known_without_a_look_at_each(
    command: Command, most: int
) -> None:
    assert crowd(10).examined(command) == crowd(1000).examined(command) <= most


def test_choosing_members_looks_once_at_those_who_are_able_and_at_nobody_else() -> None:
    domain = crowd(1000)
    for number in range(1000):
        domain.state.load(Agent(id=f"other-{number}", name="x", kind="llm"))
        domain.state.load(live_task(f"t{number}", number, requires=(Requirement("c0", number),)))
    assert domain.examined(form("new", BOTH, min_size=20)) <= 1 + 1000
    team = TeamSpec(max_size=20)
    assert domain.examined(plan(part("a", BOTH), plan_id="p", form_team=team)) <= 2 + 2 + 1000


def audience(size: int) -> Domain:
    """A team of so many members whose conversation has so many messages."""
    domain = Domain()
    for number in range(size):
        its = (Membership("crew", "member"),)
        agent_id = f"agent-{number}"
        domain.state.load(Agent(id=agent_id, name="x", kind="llm", memberships=its))
    domain.state.load(Conversation(id="talk", topic="x", team_id="crew", messages=size))
    return domain


def test_a_message_among_many_costs_what_one_among_few_does() -> None:
    command = say(by="agent-0", to="agent-1", reply_to=9)
    assert audience(10).examined(command) == audience(10_000).examined(command) == 3
    command = talk("new", text="Hello", by="agent-0", to="agent-1")
    assert audience(10).examined(command) == audience(10_000).examined(command) <= 4


def test_a_claim_among_a_thousand_levels_looks_at_few_of_them() -> None:
    domain = Domain()
    for name, level in (("low", 1), ("middle", 500), ("high", 1000)):
        skills = (Skill("c0", level), Skill("c1", level))
        domain.state.load(Agent(id=name, name="x", kind="llm", skills=skills, max_concurrency=9999))
    for number in range(1000):
        # The least demanding ones come last.
        requires = (Requirement("c0", number),)
        domain.state.load(live_task(f"one-{number}", 5000 - number, requires=requires))
        requires = (Requirement("c0", number), Requirement("c1", number * 7 % 1000))
        domain.state.load(live_task(f"two-{number}", 5000 - number, requires=requires))
    for _ in range(300):
        for name in ("low", "middle", "high"):
            command = claim(name)
            assert domain.examined(command) <= 200
            domain.when(command)
    assert {task.status for task in domain.state.all(Task)} == {"ready", "running"}


def test_claiming_a_thousand_tasks_looks_at_each_group_once_a_time() -> None:
    domain = company(2000)
    ann = domain.agent()
    ann.max_concurrency = 10_000
    for _ in range(1000):
        before = domain.state.examined
        domain.given(claim())
        assert domain.state.examined - before <= 2 + 2 * GROUPS
    assert domain.nothing(claim())["reason"] == "no_ready_task"
