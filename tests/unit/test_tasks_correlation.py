"""The correlation that a task keeps, by which its maker's call is found in the logs."""

import pytest
from msgspec.structs import replace

from agent_orchestration.core.folding import LONGEST_CORRELATION, RULES
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.tasks.model import Task
from tests.unit.domain import Domain, replay
from tests.unit.examples import agent, claim, part, plan, task


def kept(correlations: list[str | None], *commands: Command, rules: int = RULES) -> set[str | None]:
    """What the tasks keep after commands that came with these correlations."""
    history = Domain(rules=rules).given(*commands).history
    state = replay(
        replace(envelope, correlation=one)
        for envelope, one in zip(history, correlations, strict=True)
    )
    return {one.correlation for one in state.all(Task)}


def test_a_task_keeps_that_of_the_call_that_made_it() -> None:
    assert kept([None, "made", "claimed"], agent(), task(), claim()) == {"made"}


def test_so_do_a_plan_and_its_tasks() -> None:
    assert kept(["made"], plan(part("a"), part("b"))) == {"made"}


def test_the_first_rules_keep_none() -> None:
    assert kept(["made"], task(), rules=1) == {None}


@pytest.mark.parametrize("text", [None, "x" * (LONGEST_CORRELATION + 1), "a\x00", "\ud800"])
def test_what_the_graph_could_not_keep_is_left_out(text: str | None) -> None:
    assert kept([text], task()) == {None}
    assert kept(["x" * LONGEST_CORRELATION], task()) == {"x" * LONGEST_CORRELATION}
