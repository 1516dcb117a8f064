"""Holding a task: being given it, starting, progress, completing; and who may say so."""

from collections.abc import Mapping

import pytest

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.tasks.commands import AssignTask, CancelTask
from agent_orchestration.domain.tasks.events import (
    TaskAssigned,
    TaskCompleted,
    TaskProgressed,
    TaskStarted,
)
from agent_orchestration.domain.tasks.model import Assignment, RetryPolicy
from tests.unit.domain import START, Domain
from tests.unit.examples import (
    agent,
    assign,
    claim,
    complete,
    fail,
    progress,
    start,
    task,
)

CANCEL = CancelTask(task_id="parse")
WAY: Mapping[str, tuple[Command, ...]] = {
    "blocked": (claim(), fail(retry_after_ms=1000)),
    "ready": (),
    "assigned": (assign(),),
    "running": (claim(),),
    "completed": (claim(), complete()),
    "failed": (claim(), fail(retryable=False)),
    "cancelled": (claim(), CANCEL),
}
"""How the task `parse` comes into each status, with ann as its last holder where it has one."""


def in_status(status: str) -> Domain:
    domain = Domain().given(agent(), agent("bob"), task(), *WAY[status])
    assert domain.task().status == status
    return domain


def outcome(domain: Domain, command: Command) -> str:
    """The type of the event, the code of the refusal, or "nothing"."""
    before = domain.snapshot()
    try:
        result = type(domain.when(command)).__name__
    except (Rejected, NotFound) as error:
        result = error.code
    if result[0].islower() or result == "Nothing":
        assert domain.snapshot() == before
    return "nothing" if result == "Nothing" else result


# ── every status


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (assign(), ["wrong_status", "TaskAssigned", "nothing", "nothing", *["wrong_status"] * 3]),
        (start(), ["fenced", "fenced", "TaskStarted", "nothing", *["wrong_status"] * 3]),
        (
            progress(),
            ["fenced", "fenced", "not_started", "TaskProgressed", *["wrong_status"] * 3],
        ),
        (
            complete(),
            ["fenced", "fenced", "not_started", "TaskCompleted", "nothing", *["wrong_status"] * 2],
        ),
        (
            fail(),
            [*["fenced"] * 2, *["TaskFailed"] * 2, "wrong_status", "nothing", "wrong_status"],
        ),
        (CANCEL, [*["TaskCancelled"] * 4, "wrong_status", "wrong_status", "nothing"]),
    ],
    ids=["assign", "start", "progress", "complete", "fail", "cancel"],
)
def test_each_status_allows_what_it_allows(command: Command, expected: list[str]) -> None:
    assert [outcome(in_status(status), command) for status in WAY] == expected


@pytest.mark.parametrize("command", [start(), progress(), complete(), fail()])
@pytest.mark.parametrize("status", ["assigned", "running"])
def test_only_the_holder_may_say_something(status: str, command: Command) -> None:
    stranger = type(command)(**{**vars_of(command), "agent_id": "bob"})
    error = in_status(status).refused(stranger)
    assert (error.code, error.details["field"]) == ("fenced", "attempt")


@pytest.mark.parametrize("command", [start(), progress(), complete(), fail()])
@pytest.mark.parametrize("attempt", [1, 3])
def test_only_the_present_attempt_may_say_something(command: Command, attempt: int) -> None:
    domain = in_status("running").given(fail(retry_after_ms=0), claim())
    assert domain.task().attempt == 2
    other = type(command)(**{**vars_of(command), "attempt": attempt})
    error = domain.refused(other)
    assert (error.code, error.details["attempt"]) == ("fenced", 2)
    same = type(command)(**{**vars_of(command), "attempt": 2})
    assert outcome(domain, same) != "fenced"


def vars_of(command: Command) -> dict[str, object]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


@pytest.mark.parametrize("command", [assign(), start(), progress(), complete(), fail(), CANCEL])
def test_an_unknown_task_is_not_found(command: Command) -> None:
    error = Domain().given(agent()).refused(command)
    assert isinstance(error, NotFound)
    assert (error.code, error.details["field"]) == ("unknown_task", "task_id")


# ── being given a task


def test_an_assigned_task_waits_for_its_holder_to_start() -> None:
    domain = Domain().given(agent(), task(lease_seconds=90)).pass_seconds(5)
    event = domain.event(assign(), TaskAssigned)
    assert (event.attempt, event.lease_until) == (1, START + 95_000)
    given = domain.task()
    assert (given.status, given.started_at) == ("assigned", None)
    assert given.assignment == Assignment("ann", 1, START + 5000)
    assert domain.agent().active == 1


def test_whoever_assigns_may_choose_the_lease() -> None:
    domain = Domain().given(agent(), task())
    command = AssignTask(task_id="parse", agent_id="ann", lease_seconds=7)
    assert domain.event(command, TaskAssigned).lease_until == START + 7000
    assert domain.task().lease_seconds == 7


def test_assigning_again_to_the_holder_says_under_which_attempt_it_holds() -> None:
    domain = in_status("assigned")
    assert domain.nothing(assign()) == {"task_id": "parse", "agent_id": "ann", "attempt": 1}


def test_a_held_task_is_not_given_to_somebody_else() -> None:
    error = in_status("running").refused(assign(agent_id="bob"))
    assert (error.code, error.details["status"]) == ("wrong_status", "running")


def test_a_task_is_given_only_to_who_can_do_it() -> None:
    domain = Domain().given(agent(), task(requires={"python": 801}))
    error = domain.refused(assign())
    assert (error.code, error.details["field"]) == ("not_capable", "agent_id")
    assert "python at 0.801" in error.reason


def test_a_task_is_given_only_to_who_has_room() -> None:
    domain = Domain().given(agent(), task("a"), task("b"), assign("a"))
    assert domain.refused(assign("b")).code == "at_capacity"


def test_a_task_is_given_only_to_a_known_agent() -> None:
    assert Domain().given(task()).refused(assign()).code == "unknown_agent"


# ── carrying it out


def test_starting_renews_the_lease() -> None:
    domain = in_status("assigned").pass_seconds(10)
    event = domain.event(start(), TaskStarted)
    assert event.lease_until == domain.task().lease_until == START + 70_000
    assert (domain.task().status, domain.task().started_at) == ("running", START + 10_000)


def test_starting_twice_is_nothing_to_do() -> None:
    answer = in_status("running").nothing(start())
    assert answer == {"task_id": "parse", "attempt": 1, "lease_until": START + 60_000}


def test_progress_is_kept_and_renews_the_lease() -> None:
    domain = in_status("running").pass_seconds(10)
    event = domain.event(progress(text='{"page":7}'), TaskProgressed)
    assert event.lease_until == domain.task().lease_until == START + 70_000
    assert domain.task().progress == '{"page":7}'


def test_the_next_attempt_can_read_the_progress_of_the_last() -> None:
    domain = in_status("running").given(progress(), fail(retry_after_ms=0), claim())
    assert (domain.task().attempt, domain.task().progress) == (2, '{"done":1}')


def test_a_completed_task_keeps_its_result_and_who_did_it() -> None:
    domain = in_status("running").pass_seconds(10)
    assert domain.event(complete(result='"ok"'), TaskCompleted).result == '"ok"'
    done = domain.task()
    assert (done.status, done.result, done.finished_at) == ("completed", '"ok"', START + 10_000)
    assert done.assignment == Assignment("ann", 1, START)
    assert (done.lease_until, done.retry_at, done.reason) == (None, None, None)
    assert (domain.agent().active, domain.agent().status) == (0, "idle")


def test_completing_again_is_harmless_and_does_not_change_the_result() -> None:
    domain = in_status("running").given(complete(result="1"))
    answer = domain.nothing(complete(result="2"))
    assert answer == {"task_id": "parse", "status": "completed", "attempt": 1}
    assert domain.task().result == "1"


def test_only_who_completed_it_is_told_so() -> None:
    domain = in_status("completed")
    assert domain.refused(complete(agent_id="bob")).code == "wrong_status"
    assert domain.refused(complete(attempt=2)).code == "wrong_status"


def test_success_clears_the_error_of_an_earlier_attempt() -> None:
    domain = in_status("running").given(fail(retry_after_ms=0))
    assert (domain.task().error, domain.task().error_type) == ("it broke", "error")
    domain.given(claim(), complete(attempt=2))
    assert (domain.task().error, domain.task().error_type) == (None, None)


# ── cancelling


@pytest.mark.parametrize("status", ["blocked", "ready", "assigned", "running"])
def test_what_is_not_finished_can_be_cancelled(status: str) -> None:
    domain = in_status(status).pass_seconds(10)
    domain.given(CancelTask(task_id="parse", reason="not needed"))
    gone = domain.task()
    assert (gone.status, gone.reason) == ("cancelled", "not needed")
    assert (gone.finished_at, gone.lease_until, gone.retry_at) == (START + 10_000, None, None)
    assert domain.agent().active == 0


def test_a_cancelled_task_keeps_who_held_it() -> None:
    assert in_status("cancelled").task().assignment == Assignment("ann", 1, START)


def test_cancelling_again_tells_the_first_reason() -> None:
    domain = in_status("running").given(CancelTask(task_id="parse", reason="first"))
    second = CancelTask(task_id="parse", reason="second")
    assert domain.nothing(second) == {"task_id": "parse", "reason": "first"}


def test_a_failed_task_keeps_who_failed() -> None:
    domain = Domain().given(agent(), task(retry=RetryPolicy(max_attempts=1)), claim(), fail())
    assert domain.task().assignment == Assignment("ann", 1, START)
