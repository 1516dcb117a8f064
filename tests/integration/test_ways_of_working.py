"""Every way of working: its result, a step that fails, its bounds, and a coordinator that is
stopped after each step without any being taken twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.coordinating import Company, Participant, both, broken

Told = tuple[dict[str, Any], dict[str, Any], list[Any], list[list[Any]]]
YES: dict[str, Any] = {"approved": True, "comments": ""}
NO: dict[str, Any] = {"approved": False, "comments": "louder"}


async def play(
    company: Company, interrupted: bool, way: str, options: Any, *participants: Participant
) -> Told:
    """The coordinating task at its end, the steps, what was said, and what each was asked for."""
    async with company.at_work(*participants):
        await company.begin(way, goal="A song", **options)
        task = await company.coordinate(interrupted=interrupted)
    asked = [one.asked for one in participants]
    return task, await company.steps(), await company.said(), asked


async def once(folder: Path, way: str, options: Any, *participants: Participant) -> Told:
    async with Company(folder) as company:
        return await play(company, False, way, options, *participants)


async def the_same_interrupted(
    folder: Path, way: str, options: Any, *participants: tuple[Any, ...]
) -> Told:
    """What it comes to, which is the same where coordinators are stopped after each step. Each
    participant is an agent's id, its capability and its answers."""

    async def story(company: Company, interrupted: bool) -> Told:
        made = [Participant(*one) for one in participants]
        return await play(company, interrupted, way, options, *made)

    whole, interrupted = await both(folder, story)
    task, steps, said, asked = interrupted
    # Steps at the same time are cut off together.
    assert 2 * task["given_back"] > len(steps)
    assert (steps, said, asked) == whole[1:]
    same = ("status", "result", "error_type", "error")
    assert [task.get(name) for name in same] == [whole[0].get(name) for name in same]
    assert {attempt for _, attempt in steps.values()} == {1}
    return whole


def by(*names: str) -> list[dict[str, str]]:
    """Participants by their agents."""
    return [{"agent_id": name} for name in names]


# ── pipeline


async def test_a_stage_goes_on_from_the_one_before(tmp_path: Path) -> None:
    stages = [{"agent_id": "ann", "instructions": "Words."}, {"capability": "sing"}]
    people = ("ann", "write", "la"), ("bob", "sing", "LA")
    told = await the_same_interrupted(tmp_path, "pipeline", {"stages": stages}, *people)
    task, steps, _, asked = told
    assert task["result"] == "LA"
    assert steps == {"c.stage-1": ("completed", 1), "c.stage-2": ("completed", 1)}
    assert asked == [[{"goal": "A song"}], [{"goal": "A song", "previous": "la"}]]


async def test_a_stage_that_fails_ends_the_pipeline(tmp_path: Path) -> None:
    people = ("ann", "write", broken("no ink")), ("bob", "sing", "LA")
    told = await the_same_interrupted(tmp_path, "pipeline", {"stages": by("ann", "bob")}, *people)
    task, steps, _, _ = told
    assert (task["status"], task["error_type"]) == ("failed", "step_failed")
    assert task["error"] == "step stage-1 is failed (broken): no ink"
    assert [*steps] == ["c.stage-1"]


async def test_a_result_that_does_not_fit_ends_the_pipeline(tmp_path: Path) -> None:
    stages = [{"agent_id": "ann", "result_schema": {"type": "integer"}}]
    ann = Participant("ann", "write", "la")
    task, _, _, asked = await once(tmp_path, "pipeline", {"stages": stages}, ann)
    assert task["error_type"] == "step_failed"
    assert "invalid_result" in task["error"]
    assert asked[0][0]["result_schema"] == {"type": "integer"}


async def test_an_unknown_agent_ends_the_pipeline(tmp_path: Path) -> None:
    task, *_ = await once(tmp_path, "pipeline", {"stages": by("eve")})
    assert (task["status"], task["error_type"]) == ("failed", "unknown_agent")


# ── maker and checker


async def test_comments_go_back_to_the_maker(tmp_path: Path) -> None:
    options = {"maker": {"agent_id": "ann"}, "checker": {"capability": "check"}}
    people = ("ann", "write", "la", "LA"), ("bob", "check", NO, YES)
    told = await the_same_interrupted(tmp_path, "maker_checker", options, *people)
    task, steps, _, (made, checked) = told
    assert task["result"] == "LA"
    assert len(steps) == 4
    assert made[1] == {"goal": "A song", "previous": "la", "comments": "louder"}
    assert [one["made"] for one in checked] == ["la", "LA"]


async def test_what_is_never_approved_ends_it(tmp_path: Path) -> None:
    options = {"maker": {"agent_id": "ann"}, "checker": {"agent_id": "bob"}, "rounds": 2}
    people = ("ann", "write", "la"), ("bob", "check", NO)
    task, steps, _, _ = await the_same_interrupted(tmp_path, "maker_checker", options, *people)
    assert (task["error_type"], len(steps)) == ("not_approved", 4)
    assert task["error"] == "not approved after 2 rounds: louder"


@pytest.mark.parametrize("failing", ["ann", "bob"])
async def test_a_maker_or_checker_that_fails_ends_it(tmp_path: Path, failing: str) -> None:
    answers = {"ann": "la", "bob": YES, failing: broken()}
    people = [Participant(name, "work", answer) for name, answer in answers.items()]
    options = {"maker": {"agent_id": "ann"}, "checker": {"agent_id": "bob"}}
    task, *_ = await once(tmp_path, "maker_checker", options, *people)
    assert task["error_type"] == "step_failed"


# ── handoff


def to(name: str) -> dict[str, str]:
    return {"handoff_to": name, "reason": f"{name} can"}


async def test_work_is_handed_on_until_one_ends_it(tmp_path: Path) -> None:
    options = {"members": [*by("ann"), {"capability": "sing"}]}
    people = ("ann", "write", to("sing"), {"result": "LA"}), ("bob", "sing", to("ann"))
    told = await the_same_interrupted(tmp_path, "handoff", options, *people)
    task, steps, said, (ann, _) = told
    assert (task["result"], len(steps)) == ("LA", 3)
    assert [(author, text) for author, text, _ in said] == [("ann", "sing can"), ("bob", "ann can")]
    assert ann[1]["handoffs"] == [
        {"from": "ann", "to": "sing", "reason": "sing can"},
        {"from": "sing", "to": "ann", "reason": "ann can"},
    ]


async def test_a_loop_of_handoffs_ends(tmp_path: Path) -> None:
    options = {"members": by("ann", "bob"), "handoffs": 3}
    people = ("ann", "write", to("bob")), ("bob", "sing", to("ann"))
    task, steps, said, _ = await the_same_interrupted(tmp_path, "handoff", options, *people)
    assert (task["error_type"], len(steps), len(said)) == ("too_many_handoffs", 4, 4)


@pytest.mark.parametrize("answer", [to("eve"), {"handoff_to": "ann"}, {}, broken()])
async def test_a_handoff_to_nobody_known_ends_it(tmp_path: Path, answer: Any) -> None:
    ann = Participant("ann", "write", answer)
    task, *_ = await once(tmp_path, "handoff", {"members": by("ann")}, ann)
    assert (task["status"], task["error_type"]) == ("failed", "step_failed")


# ── lead


def delegation(name: str, title: str = "Part") -> dict[str, str]:
    return {"title": title, "description": "Do it.", "to": name}


async def test_a_lead_hands_out_tasks_until_it_has_the_result(tmp_path: Path) -> None:
    options = {"lead": {"agent_id": "ann"}, "members": [*by("bob"), {"capability": "sing"}]}
    first = {"delegations": [delegation("bob", "Words"), delegation("sing", "Tune")]}
    second = {"delegations": [delegation("sing", "Tune again")]}
    people = (
        ("ann", "lead", first, second, {"result": "la la"}),
        ("bob", "write", "la"),
        ("cat", "sing", broken("hoarse"), "do"),
    )
    told = await the_same_interrupted(tmp_path, "lead", options, *people)
    task, steps, _, (ann, _, _) = told
    assert task["result"] == "la la"
    assert {*steps} == {
        *("c.lead-1", "c.lead-2", "c.lead-3"),
        *("c.task-1-1", "c.task-1-2", "c.task-2-1"),
    }
    words = {"title": "Words", "to": "bob", "status": "completed", "result": "la"}
    tune = {"title": "Tune", "to": "sing", "status": "failed", "error": "hoarse"}
    again = {"title": "Tune again", "to": "sing", "status": "completed", "result": "do"}
    assert [one["outcomes"] for one in ann] == [[], [words, tune], [words, tune, again]]


async def test_a_lead_without_a_result_ends_it(tmp_path: Path) -> None:
    options = {"lead": {"agent_id": "ann"}, "members": by("bob"), "rounds": 2}
    people = ("ann", "lead", {"delegations": [delegation("bob")]}), ("bob", "write", "la")
    task, steps, _, _ = await the_same_interrupted(tmp_path, "lead", options, *people)
    assert (task["error_type"], len(steps)) == ("too_many_rounds", 4)


@pytest.mark.parametrize("answer", [{"delegations": [delegation("eve")]}, {}, broken()])
async def test_a_lead_that_answers_something_else_ends_it(tmp_path: Path, answer: Any) -> None:
    options = {"lead": {"agent_id": "ann"}, "members": by("ann")}
    task, *_ = await once(tmp_path, "lead", options, Participant("ann", "lead", answer))
    assert task["error_type"] == "step_failed"


async def test_a_cancelled_lead_cancels_all_delegations(tmp_path: Path) -> None:
    several = {"delegations": [delegation("away") for _ in range(3)]}
    lead = Participant("ann", "lead", several)
    async with Company(tmp_path) as company, company.at_work(lead), company.coordinator():
        options = {"lead": {"agent_id": "ann"}, "members": [{"capability": "away"}]}
        await company.begin("lead", goal="A song", lease_seconds=1, **options)
        await company.until("c.task-1-3", lambda one: one["status"] == "ready")
        await company.call("cancel_task", task_id="c")
        for number in (1, 2, 3):
            step = f"c.task-1-{number}"
            task = await company.until(step, lambda one: one["status"] == "cancelled")
            assert task["reason"] == "task c was cancelled"


# ── group chat


async def test_members_speak_in_turn(tmp_path: Path) -> None:
    options = {"members": [*by("ann"), {"capability": "sing"}], "turns": 3}
    people = ("ann", "write", {"text": "Hm."}, {"text": "Ah."}), ("bob", "sing", {"text": "La."})
    told = await the_same_interrupted(tmp_path, "group_chat", options, *people)
    task, steps, said, (ann, _) = told
    spoken = [{"who": "ann", "text": "Hm."}, {"who": "sing", "text": "La."}]
    assert task["result"] == {"said": [*spoken, {"who": "ann", "text": "Ah."}]}
    assert ann[1]["said"] == spoken
    assert [(author, text) for author, text, _ in said] == [
        ("ann", "Hm."),
        ("bob", "La."),
        ("ann", "Ah."),
    ]
    assert len(steps) == 3


async def test_a_moderator_says_whose_turn_it_is_and_when_it_is_over(tmp_path: Path) -> None:
    options = {"members": by("ann", "bob"), "policy": "moderator", "moderator": by("mod")[0]}
    people = (
        ("ann", "write", {"text": "Hm."}),
        ("bob", "sing", {"text": "La."}, {"text": "Lo."}),
        ("mod", "moderate", {"next": "bob"}, {"next": "bob"}, {"result": "Lo"}),
    )
    told = await the_same_interrupted(tmp_path, "group_chat", options, *people)
    task, steps, said, (ann, *_) = told
    assert (task["result"], ann, len(steps)) == ("Lo", [], 5)
    assert [text for _, text, _ in said] == ["La.", "Lo."]


async def test_a_moderated_conversation_ends(tmp_path: Path) -> None:
    moderated = {"policy": "moderator", "moderator": {"agent_id": "mod"}, "turns": 2}
    people = ("ann", "write", {"text": "Hm."}), ("mod", "moderate", {"next": "ann"})
    told = await the_same_interrupted(
        tmp_path, "group_chat", {"members": by("ann"), **moderated}, *people
    )
    task, steps, said, _ = told
    assert (task["error_type"], len(said), len(steps)) == ("too_many_turns", 2, 5)


@pytest.mark.parametrize("answer", ["Hm.", {"text": ""}, broken()])
async def test_a_member_that_does_not_speak_ends_it(tmp_path: Path, answer: Any) -> None:
    ann = Participant("ann", "write", answer)
    task, _, said, _ = await once(tmp_path, "group_chat", {"members": by("ann")}, ann)
    assert (task["error_type"], said) == ("step_failed", [])


async def test_what_anybody_can_do_is_left_to_others(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        await company.call("create_task", id="plain", title="P", priority=1)
        await play(company, False, "pipeline", {})
        plain = (await company.call("get_task", task_id="plain"))["task"]
    assert (plain["status"], plain["attempt"]) == ("ready", 0)


# ── options


MISFITS: list[tuple[str, Any, str]] = [
    ("pipeline", {}, "stages"),
    ("pipeline", {"stages": []}, "stages"),
    ("pipeline", {"stages": by("ann") * 51}, "stages"),
    ("pipeline", {"stages": [{"agent_id": "a", "capability": "b"}]}, "stages.0"),
    ("pipeline", {"stages": [{}]}, "stages.0"),
    ("maker_checker", {"maker": by("ann")[0]}, "checker"),
    ("maker_checker", {"maker": {}, "checker": {}, "rounds": 21}, "maker"),
    ("handoff", {"members": by("ann", "ann")}, "members"),
    ("handoff", {"members": by("ann"), "handoffs": 0}, "handoffs"),
    ("lead", {"members": by("ann")}, "lead"),
    ("lead", {"lead": by("ann")[0], "members": by("bob"), "rounds": True}, "rounds"),
    ("group_chat", {"members": by("ann"), "policy": "moderator"}, "payload: moderator"),
    ("group_chat", {"members": by("ann"), "turns": 201}, "turns"),
]


@pytest.mark.parametrize(("way", "options", "field"), MISFITS)
async def test_options_that_do_not_fit_are_named(
    tmp_path: Path, way: str, options: Any, field: str
) -> None:
    task, steps, *_ = await once(tmp_path, way, options)
    assert (task["error_type"], steps) == ("invalid_input", {})
    assert task["error"].startswith(f"{field}: ")
