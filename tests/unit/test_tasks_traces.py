"""The trace that a task belongs to."""

import pytest
from msgspec.structs import replace

from agent_orchestration.core.folding import RULES
from agent_orchestration.core.messages import Command
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tasks.model import Task
from tests.unit.domain import Domain, replay
from tests.unit.examples import agent, claim, part, plan, task
from tests.unit.server_fakes import TRACEPARENT

LATER = TRACEPARENT.replace("b7ad", "ffff")


def folded(traceparents: list[str | None], *commands: Command, rules: int = RULES) -> TenantState:
    """The state after commands that came with these contexts."""
    history = Domain(rules=rules).given(*commands).history
    return replay(
        replace(envelope, traceparent=context)
        for envelope, context in zip(history, traceparents, strict=True)
    )


def traces(state: TenantState) -> set[str | None]:
    return {one.traceparent for one in state.all(Task)}


def test_a_task_belongs_to_the_trace_of_the_call_that_made_it() -> None:
    state = folded([None, TRACEPARENT, LATER], agent(), task(), claim())
    assert traces(state) == {TRACEPARENT}


def test_so_do_a_plan_and_its_tasks() -> None:
    state = folded([TRACEPARENT], plan(part("a"), part("b")))
    assert len(list(state.all(Task))) == 3
    assert traces(state) == {TRACEPARENT}


def test_the_first_rules_know_no_traces() -> None:
    assert traces(folded([TRACEPARENT], task(), rules=1)) == {None}


@pytest.mark.parametrize("context", [None, "", "00-ab-cd-01", TRACEPARENT + "\x00", "\ud800"])
def test_what_is_no_context_is_not_kept(context: str | None) -> None:
    assert traces(folded([context], task())) == {None}
