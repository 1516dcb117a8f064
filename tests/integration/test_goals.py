"""Tools that begin what a coordinator has others do, and answer it."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, NotFound, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from tests.integration.coordinating import Company, Participant

TASK: dict[str, Any] = {
    "id": "sing",
    "title": "S",
    "description": "s",
    "requires": [{"capability": "planning"}],
    "depends_on": [],
}


async def test_a_goal_over_the_tools(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        asked = {"id": "c", "goal": "A\nsong", "idempotency_key": "once"}
        created = await company.call("plan_goal", **asked)
        assert created["task"]["title"] == "plan: A song"
        assert created["unstaffed"] == ["coordination"]
        planner = Participant("ann", "planning", {"title": "T", "tasks": [TASK]})
        async with company.at_work(planner), company.coordinator():
            await company.question(1)
            answered = await company.call("approve_plan", task_id="c")
            again = await company.call("approve_plan", task_id="c")
            assert again["message"] == answered["message"]
            assert answered["message"]["data"] == {"approved": True}
            with pytest.raises(Conflict):
                await company.call("approve_plan", task_id="c", approved=False)
            task = await company.until("c", lambda one: one["status"] == "completed")
        repeated = await company.call("plan_goal", **asked)
    assert repeated["task"]["id"] == "c"
    assert task["result"]["plan_id"] == "c-1"


async def test_a_team_does_the_steps_and_not_the_coordinating(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        async with company.at_work(Participant("ann", "sing", "la")), company.coordinator():
            await company.call("form_team", id="crew", goal="x", members=[{"agent_id": "ann"}])
            options = {"stages": [{"capability": "sing"}]}
            asked: dict[str, Any] = {"way": "pipeline", "goal": "A song", "options": options}
            await company.call("work_together", id="c", team_id="crew", **asked)
            task = await company.until("c", lambda one: one["status"] == "completed")
        step = await company.until("c.stage-1", lambda one: True)
    assert "team_id" not in task
    assert step["team_id"] == "crew"


async def test_what_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        with pytest.raises(NotFound, match="team_id: there is no team absent"):
            await company.call("plan_goal", goal="x", team_id="absent")
        await company.task("other")
        for task_id in ("other", "absent"):
            with pytest.raises(Rejected, match="task_id: no plan of task") as refused:
                await company.call("approve_plan", task_id=task_id)
            assert refused.value.code == "nothing_to_approve"


async def test_only_the_draft_that_waits_is_answered_and_by_one_person(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        await company.call("plan_goal", id="c", goal="A song")
        planner = Participant("ann", "planning", {"title": "T", "tasks": [TASK]})
        async with company.at_work(planner), company.coordinator():
            number = await company.question(1)
            other = {"conversation_id": "c", "kind": "question", "text": "What does it cost?"}
            await company.call("send_message", **other)
            waiting = await company.until("c", lambda one: one.get("progress") is not None)
            assert waiting["progress"]["question"] == number
            with pytest.raises(Rejected, match=f"question: 99 is not .* question {number}"):
                await company.call("approve_plan", task_id="c", question=99)
            said = await company.call("approve_plan", task_id="c", question=number)
            assert said["message"]["reply_to"] == number
            bob = Caller(principal=Principal("bob", Role.OPERATOR.value))
            with pytest.raises(Rejected, match="was answered by local already"):
                await company.platform.call("approve_plan", {"task_id": "c"}, bob)
            await company.until("c", lambda one: one["status"] == "completed")


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ([], "payload: must be an object"),
        ({"goal": "x"}, "way: must be one of pipeline"),
        ({"way": "fly", "goal": "x"}, "way: must be one of pipeline"),
        ({"way": "plan"}, "goal: Field required"),
        ({"way": "plan", "goal": ""}, "goal: Value should have at least 1 item"),
        ({"way": "plan", "goal": "x", "replans": 11}, "replans: Input should be less"),
        ({"way": "plan", "goal": "x", "colour": 1}, "colour: Extra inputs are not permitted"),
        ({"way": "plan", "goal": "x", "planner": {}}, "planner: name either agent_id or cap"),
    ],
)
async def test_options_that_do_not_fit_end_the_task(
    tmp_path: Path, payload: Any, problem: str
) -> None:
    async with Company(tmp_path) as company, company.coordinator():
        requires = [{"capability": "coordination"}]
        await company.task("c", requires=requires, payload=payload)
        task = await company.until("c", lambda one: one["status"] == "failed")
    assert (task["error_type"], task["error"][: len(problem)]) == ("invalid_input", problem)
