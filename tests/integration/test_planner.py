"""From a goal to a plan that is drafted, approved and carried out, whoever stops meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.coordinating import Company, Participant, both, broken

WRITE = [{"capability": "write"}]
WORDS = {"id": "words", "title": "W", "description": "w", "requires": WRITE, "depends_on": []}
SONG = {"id": "song", "title": "S", "description": "s", "requires": WRITE, "depends_on": ["words"]}
DRAFT: dict[str, Any] = {"title": "A song", "tasks": [WORDS, SONG]}


def changed(**task: Any) -> dict[str, Any]:
    """The draft with another second task."""
    return {**DRAFT, "tasks": [WORDS, {**SONG, **task}]}


async def finished(
    company: Company, interrupted: bool, *, drafts: tuple[Any, ...] = (DRAFT,)
) -> Any:
    """Everything about a goal that needs no approval."""
    planner = Participant("ann", "planning", *drafts)
    writer = Participant("bob", "write", "words")
    async with company.at_work(planner, writer):
        await company.begin("plan", goal="A song", approval="none")
        task = await company.coordinate(interrupted=interrupted)
    return task, await company.steps(), await company.said(), planner.asked


def without_times(told: Any) -> Any:
    """What has to be the same, however often a coordinator was stopped."""
    task, steps, said, asked = told
    return task["status"], task.get("result"), task.get("error"), steps, said, asked


async def test_a_goal_is_planned_and_reached(tmp_path: Path) -> None:
    whole, interrupted = await both(tmp_path, finished)
    task, steps, said, asked = whole
    assert task["result"] == {"plan_id": "c-1", "results": {"song": "words"}}
    assert steps == {
        "c-1": ("completed", 0),
        "c-1.song": ("completed", 1),
        "c-1.words": ("completed", 1),
        "c.draft-1": ("completed", 1),
    }
    assert [text for _, text, _ in said] == ["Draft 1 was checked."]
    names = {one["name"]: one["agents"] for one in asked[0]["capabilities"]}
    assert names == {"planning": 1, "write": 1}
    assert without_times(interrupted) == without_times(whole)
    assert interrupted[0]["given_back"] >= len(steps) + len(said) - 2


async def test_a_wrong_draft_goes_back_until_it_is_right(tmp_path: Path) -> None:
    drafts = (changed(depends_on=["music"]), changed(requires=[{"capability": "fly"}]), DRAFT)

    async def play(company: Company, interrupted: bool) -> Any:
        return await finished(company, interrupted, drafts=drafts)

    whole, interrupted = await both(tmp_path, play)
    task, steps, _, asked = whole
    assert task["status"] == "completed"
    assert {"c.draft-1", "c.draft-2", "c.draft-3"} <= set(steps)
    assert "there is no task music" in asked[1]["problems"][0]
    assert asked[2]["problems"] == [
        "tasks.1.requires: nobody has fly at 0; use capabilities that there are"
    ]
    assert asked[2]["previous_draft"] == drafts[1]
    assert without_times(interrupted) == without_times(whole)


@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        ("a song", "is not of type 'object'"),
        ({**DRAFT, "tasks": []}, "should be non-empty"),
        (changed(id="words"), "tasks.1.id: words is used twice"),
        (changed(id="a b"), "tasks.1.id"),
        ({**DRAFT, "tasks": [{**WORDS, "depends_on": ["song"]}, SONG]}, "circle"),
        (changed(result_schema={"type": "song"}), "tasks.1.result_schema"),
        (changed(priority=3, colour="red"), "tasks.1.colour"),
    ],
    ids=["form", "empty", "twice", "id", "circle", "schema", "unknown member"],
)
async def test_drafts_that_stay_wrong_end_it(tmp_path: Path, draft: Any, problem: str) -> None:
    async with Company(tmp_path) as company:
        task, steps, _, asked = await finished(company, False, drafts=(draft,))
    assert (task["status"], task["error_type"]) == ("failed", "no_valid_plan")
    assert problem in task["error"]
    assert problem in asked[2]["problems"][0]
    assert len(steps) == 3


# ── approval


async def test_a_person_refuses_with_a_comment_and_approves_the_next_draft(tmp_path: Path) -> None:
    async def play(company: Company, interrupted: bool) -> Any:
        planner = Participant("ann", "planning", changed(title="Long"), DRAFT)
        async with company.at_work(planner, Participant("bob", "write", "words")):
            await company.begin("plan", goal="A song")
            answering = asyncio.create_task(answers(company))
            task = await company.coordinate(interrupted=interrupted)
            await answering
        return task, await company.steps(), await company.said(), planner.asked

    async def answers(company: Company) -> None:
        first = await company.question(1)
        spoof = {"conversation_id": "c", "agent_id": "ann", "text": "I like it", "kind": "answer"}
        await company.call("send_message", **spoof, reply_to=first, data={"approved": True})
        reply = {"conversation_id": "c", "kind": "answer", "reply_to": first}
        await company.call("send_message", **reply, text="Hm.")
        no = {"approved": False, "comment": "shorter"}
        await company.call("send_message", **reply, text="No.", data=no)
        reply["reply_to"] = await company.question(2)
        await company.call("send_message", **reply, text="Yes.", data={"approved": True})

    whole, interrupted = await both(tmp_path, play)
    task, steps, said, asked = whole
    assert task["result"]["plan_id"] == "c-1"
    assert [text for _, text, _ in said] == [
        "Draft 1 was checked.",
        "Is this plan to be carried out? A song: 2 tasks",
        "I like it",
        "Hm.",
        "No.",
        "Draft 2 was checked.",
        "Is this plan to be carried out? A song: 2 tasks",
        "Yes.",
    ]
    assert asked[1]["comment"] == "shorter"
    assert asked[1]["previous_draft"]["tasks"][1]["title"] == "Long"
    assert len(steps) == 5
    assert without_times(interrupted) == without_times(whole)


async def test_a_draft_waits_for_approval_in_the_tasks_progress(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        planner = Participant("ann", "planning", DRAFT)
        async with company.at_work(planner, Participant("bob", "write", "words")):
            await company.begin("plan", goal="A song")
            working = asyncio.create_task(company.coordinate())
            task = await company.until("c", lambda one: one.get("progress") is not None)
            assert task["progress"] == {"stage": "approval", "question": 2, "draft": DRAFT}
            number = await company.question(1)
            reply = {"conversation_id": "c", "kind": "answer", "reply_to": number}
            await company.call("send_message", **reply, text="No.", data={"approved": False})
            ended = await working
    assert (ended["status"], ended["error_type"]) == ("failed", "plan_rejected")


# ── plans that fail


async def test_a_plan_that_failed_is_followed_by_another(tmp_path: Path) -> None:
    async def play(company: Company, interrupted: bool) -> Any:
        planner = Participant("ann", "planning", DRAFT, {**DRAFT, "title": "Again"})
        writer = Participant("bob", "write", "words", broken("no rhyme"), "words", "song")
        async with company.at_work(planner, writer):
            await company.begin("plan", goal="A song", approval="none")
            task = await company.coordinate(interrupted=interrupted)
        return task, await company.steps(), await company.said(), planner.asked

    whole, interrupted = await both(tmp_path, play)
    task, steps, _, asked = whole
    assert task["result"] == {"plan_id": "c-2", "results": {"song": "song"}}
    assert asked[1]["done"] == {"words": "words"}
    assert asked[1]["failed"] == [{"id": "song", "title": "S", "error": "no rhyme"}]
    assert (steps["c-1"][0], steps["c-2"][0]) == ("failed", "completed")
    assert without_times(interrupted) == without_times(whole)


async def test_plans_that_keep_failing_end_it(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        planner = Participant("ann", "planning", DRAFT)
        async with company.at_work(planner, Participant("bob", "write", broken("no rhyme"))):
            await company.begin("plan", goal="A song", approval="none", replans=1)
            task = await company.coordinate()
        steps = await company.steps()
    assert (task["status"], task["error_type"]) == ("failed", "plan_failed")
    assert "words: no rhyme" in task["error"]
    assert {"c-1", "c-2"} <= set(steps)
    assert "c-3" not in steps


async def test_a_plan_that_was_cancelled_is_not_followed_by_another(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        planner = Participant("ann", "planning", DRAFT)
        async with company.at_work(planner):
            await company.agent("bob", capabilities=[{"name": "write"}])
            await company.begin("plan", goal="A song", approval="none")
            working = asyncio.create_task(company.coordinate())
            await company.until("c-1.words", lambda one: one["status"] == "ready")
            await company.call("cancel_task", task_id="c-1")
            task = await working
    assert (task["status"], task["error_type"]) == ("failed", "plan_failed")


async def test_a_planner_that_fails_ends_it(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        task, *_ = await finished(company, False, drafts=(broken("no idea"),))
    assert (task["status"], task["error_type"]) == ("failed", "step_failed")
    assert task["error"] == "step draft-1 is failed (broken): no idea"


async def test_a_cancelled_goal_cancels_its_plan(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        async with company.at_work(Participant("ann", "planning", DRAFT)), company.coordinator():
            await company.agent("bob", capabilities=[{"name": "write"}])
            await company.begin("plan", goal="A song", approval="none", lease_seconds=1)
            await company.until("c-1.words", lambda one: one["status"] == "ready")
            await company.call("cancel_task", task_id="c")
            await company.until("c-1", lambda one: one["status"] == "cancelled")
        steps = await company.steps()
    assert {status for status, _ in steps.values()} == {"completed", "cancelled"}


async def test_a_goal_cancelled_while_nobody_coordinates_cancels_its_plan(tmp_path: Path) -> None:
    planner = Participant("ann", "planning", DRAFT)
    async with Company(tmp_path) as company, company.at_work(planner):
        await company.agent("bob", capabilities=[{"name": "write"}])
        async with company.coordinator():
            await company.begin("plan", goal="A song", approval="none")
            await company.until("c-1.words", lambda one: one["status"] == "ready")
        await company.call("cancel_task", task_id="c")
        assert (await company.steps())["c-1.words"][0] == "ready"
        async with company.coordinator():
            await company.until("c-1", lambda one: one["status"] == "cancelled")
