"""Signs of life: heartbeats and what they are answered, silence, and coming back."""

from typing import Any

from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import ExpireAgent, Heartbeat, Lease, RetireAgent
from agent_orchestration.domain.agents.events import AgentCameOnline, AgentWentOffline
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.domain.tasks.events import TaskCompleted
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, assign, claim, complete, fail, heartbeat, task

EXPIRE = ExpireAgent(agent_id="ann")
RETIRE = RetireAgent(agent_id="ann")


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    """What a heartbeat was told, by task."""
    return {lease["task_id"]: lease["verdict"] for lease in answer["leases"]}


def test_a_heartbeat_says_what_to_do_with_each_lease() -> None:
    domain = Domain().given(agent(at_once=9), agent("bob"), *(task(name) for name in "abcde"))
    domain.given(*(assign(name) for name in "abcd"), assign("e", "bob"))
    domain.given(CancelTask(task_id="b"), *fail_and_claim_again("c"))
    answer = domain.nothing(heartbeat(a=1, b=1, c=1, d=2, e=1, f=1))
    assert verdicts(answer) == {
        "a": "continue",
        "b": "cancel",  # cancelled meanwhile
        "c": "fenced",  # an attempt that failed
        "d": "fenced",  # an attempt that never was
        "e": "fenced",  # held by somebody else
        "f": "fenced",  # no such task
    }
    assert answer["agent_id"] == "ann"


def fail_and_claim_again(task_id: str) -> tuple[Command, Command]:
    return fail(task_id, retry_after_ms=0), assign(task_id)


def test_a_completed_task_needs_no_more_signs_of_life() -> None:
    domain = Domain().given(agent(), task(), claim(), complete())
    assert verdicts(domain.nothing(heartbeat(parse=1))) == {"parse": "fenced"}


def test_a_silent_agent_goes_offline_when_its_time_is_over() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30)).pass_seconds(29.999)
    assert domain.nothing(EXPIRE) == {}
    domain.pass_seconds(0.001)
    assert domain.event(EXPIRE, AgentWentOffline).agent_id == "ann"
    assert (domain.agent().status, domain.agent().offline_at) == ("offline", START + 30_000)
    assert domain.nothing(EXPIRE) == {}


def test_an_agent_that_promised_nothing_never_goes_offline() -> None:
    domain = Domain().given(agent()).pass_seconds(1e6)
    assert domain.nothing(EXPIRE) == {}


def test_a_retired_agent_does_not_go_offline() -> None:
    domain = Domain().given(agent(heartbeat_seconds=1), RETIRE).pass_seconds(10)
    assert domain.nothing(EXPIRE) == {}


def test_going_offline_leaves_the_tasks_to_their_leases() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30), task(), claim())
    domain.pass_seconds(31).given(EXPIRE)
    assert domain.task().held_by("ann")


def test_an_offline_agent_comes_back_with_a_heartbeat_that_is_answered_all_the_same() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30), task(), claim())
    domain.pass_seconds(31).given(EXPIRE)
    event = domain.event(heartbeat(parse=1), AgentCameOnline)
    assert verdicts(event.reply()) == {"parse": "continue"}
    assert (domain.agent().status, domain.agent().seen_at) == ("busy", START + 31_000)
    assert domain.nothing(EXPIRE) == {}


def test_coming_back_with_thousands_of_leases_is_answered() -> None:
    domain = Domain().given(agent(heartbeat_seconds=1)).pass_seconds(1).given(EXPIRE)
    leases = tuple(Lease(f"task-{number:012d}", 1) for number in range(3000))
    event = domain.event(Heartbeat(agent_id="ann", leases=leases), AgentCameOnline)
    assert set(verdicts(event.reply()).values()) == {"fenced"}


def test_claiming_is_a_sign_of_life() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30), task())
    domain.pass_seconds(31).given(EXPIRE, claim())
    assert (domain.agent().status, domain.agent().seen_at) == ("busy", START + 31_000)


def test_an_offline_agent_is_given_no_work() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30), task())
    domain.pass_seconds(31).given(EXPIRE)
    assert domain.refused(assign()).code == "agent_offline"


def test_finishing_work_is_a_sign_of_life() -> None:
    domain = Domain().given(agent(heartbeat_seconds=30), task(), claim())
    domain.pass_seconds(31).given(EXPIRE)
    assert domain.agent().status == "offline"
    domain.event(complete(), TaskCompleted)
    assert domain.agent().status == "idle"
