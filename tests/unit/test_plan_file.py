"""Plan files: what is accepted, and where and how a bad one is told to be wrong."""

import contextlib
import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.plan_document import InvalidPlan
from agent_orchestration.workers.plan_file import PlanFile, is_plan, load_plan
from agent_orchestration.workers.plan_submission import (
    COMMAND_FAILED,
    DIGEST_LABEL,
    not_run,
    plan_id_of,
    staff,
    submission,
)

EXAMPLES = ("checks.yaml", "hello.yaml")
TWO = """\
title: Two
tasks:
  - {id: a, command: echo a}
  - {id: b, command: echo b, depends_on: [a]}
"""


def written(folder: Path, text: str | bytes, name: str = "plan.yaml") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def plan(folder: Path, text: str, name: str = "plan.yaml") -> PlanFile:
    return load_plan(written(folder, text, name))


def problems(folder: Path, text: str | bytes, name: str = "plan.yaml") -> list[str]:
    with pytest.raises(InvalidPlan) as refused:
        load_plan(written(folder, text, name))
    assert refused.value.exit_code == 2
    source = f"{folder / name}: "
    found: list[str] = refused.value.details["problems"]
    assert all(one.startswith(source) for one in found)
    return [one.removeprefix(source) for one in found]


def tasks(plan: PlanFile) -> list[dict[str, Any]]:
    return submission(plan, "p", Path("/base"))["tasks"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_valid_and_can_be_run(name: str) -> None:
    with as_file(files("agent_orchestration") / "examples" / name) as file:
        found = load_plan(file)
    assert list(not_run(found)) == []
    assert staff(found, "p", None)


def test_a_plan_may_be_json(tmp_path: Path) -> None:
    told = {"title": "J \N{GRINNING FACE}", "tasks": [{"id": "a", "command": ["echo", 1.5, -2]}]}
    found = plan(tmp_path, json.dumps(told, indent="\t"), "plan.json")
    assert found.title == told["title"]
    assert found.tasks[0].command == ["echo", "1.5", "-2"]


def test_numbers_in_commands_and_variables_stay_as_they_were_written(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        "title: N\ntasks:\n- {id: a, command: [chmod, 0755, 1.10], env: {V: 1.20, W: 0x1F}}\n",
    )
    assert found.tasks[0].command == ["chmod", "0755", "1.10"]
    assert found.tasks[0].env == {"V": "1.20", "W": "0x1F"}


def test_words_that_yaml_1_1_takes_for_something_else_stay_text(tmp_path: Path) -> None:
    text = "title: on\ntasks:\n- {id: a, payload: [yes, 12:30, 2020-01-01, 0755, true, ~]}\n"
    found = plan(tmp_path, text)
    assert found.title == "on"
    assert found.tasks[0].payload == ["yes", "12:30", "2020-01-01", 755, True, None]


CASES = {
    "unknown key": ("title: x\ntsks: []\ntasks: [{id: a}]", "line 2: tsks: is unknown; did"),
    "unknown key of a task": ("title: x\ntasks:\n- id: a\n  comand: b", "line 4: tasks[0].comand"),
    "nothing": ("", "is empty; a plan has a title and tasks"),
    "a list": ("- a", "line 1: must be a mapping of names to values"),
    "no tasks": ("title: x\ntasks: []", "line 2: tasks: a plan needs at least one task"),
    "no title": ("tasks: [{id: a}]", "line 1: title: is required"),
    "a task that is text": ("title: x\ntasks:\n- a", "line 3: tasks[0]: must be a mapping"),
    "twice the same id": (
        "title: x\ntasks:\n- {id: a}\n- {id: a}",
        "line 4: tasks[1].id: a is the id of tasks[0] too; rename one of them",
    ),
    "an unknown dependency": (
        "title: x\ntasks:\n- id: build\n- id: b\n  depends_on:\n  - biuld",
        "line 6: tasks[1].depends_on[0]: there is no task biuld in this plan; did you mean build?",
    ),
    "twice the same dependency": (
        "title: x\ntasks:\n- {id: a}\n- {id: b, depends_on: [a, {task_id: a}]}",
        "line 4: tasks[1].depends_on[1]: a is named twice",
    ),
    "itself": (
        "title: x\ntasks:\n- {id: a, depends_on: [a]}",
        "line 3: tasks[0].depends_on: waits for itself: a -> a; remove",
    ),
    "a cycle": (
        (
            "title: x\ntasks:\n- {id: a, depends_on: [c]}\n- {id: b, depends_on: [a]}\n"
            "- {id: c, depends_on: [b]}"
        ),
        " -> ",
    ),
    "an unknown policy": (
        "title: x\ntasks:\n- {id: a}\n- {id: b, depends_on: [{task_id: a, on_failure: no}]}",
        "line 4: tasks[1].depends_on[0].on_failure: Input should be 'block', 'cancel' or",
    ),
    "a level beyond 1": (
        "title: x\nagents: [{name: A, capabilities: {b: 1.1}}]\ntasks: [{id: a}]",
        "line 2: agents[0].capabilities.b: Input should be less than or equal to 1",
    ),
    "an agent twice": (
        (
            "title: x\nagents:\n- {name: A, capabilities: [b]}\n- {name: A, capabilities: [b]}\n"
            "tasks: [{id: a}]"
        ),
        "line 4: agents[1].name: A is named twice; choose another name, or use count",
    ),
    "an empty command": ("title: x\ntasks: [{id: a, command: []}]", "names no program"),
    "a blank command": ("title: x\ntasks: [{id: a, command: ' '}]", "is empty; name a program"),
    "a boolean in a command": (
        "title: x\ntasks: [{id: a, command: [echo, true]}]",
        "true is not text; put it in quotes",
    ),
    "a variable that is none": (
        "title: x\ntasks: [{id: a, command: b, env: {A-B: c}}]",
        "tasks[0].env.A-B: cannot be the name of a variable",
    ),
    "a variable of ours": (
        "title: x\ntasks: [{id: a, command: b, env: {AO_RESULT: c}}]",
        "tasks[0].env.AO_RESULT: is set by the platform",
    ),
    "a timeout of nothing": (
        "title: x\ntasks: [{id: a, command: b, timeout_seconds: 0}]",
        "tasks[0].timeout_seconds: Input should be greater than 0",
    ),
    "command and payload": (
        "title: x\ntasks: [{id: a, command: b, payload: 1}]",
        "tasks[0]: has a command and a payload; keep one of them",
    ),
    "a folder for no command": ("title: x\ntasks: [{id: a, cwd: b}]", "but no command"),
    "a key given twice": ("title: x\ntitle: y\ntasks: [{id: a}]", "line 2: title: is given twice"),
    "a tab": ("title: x\ntasks:\n\t- id: a", "line 3: is not YAML: a tab stands where YAML wants"),
    "an alias": ("title: &t x\ntasks: [{id: *t}]", "line 2: *t: aliases are not read; write it"),
    "a bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "line 2: *a: aliases are not read"),
    "a tag": ("title: !!python/name:os.system x", "tags are not read; remove it"),
    "two documents": ("title: x\n---\ntitle: y", "line 2: begins a second document; keep one"),
    "half a document": ("title: [x", "is not YAML"),
    "a key that is a list": ("? [a]\n: b", "line 1: a key must be text"),
    "very deep": ("a: " + "[" * 500 + "]" * 500, "is nested more than 100 levels deep"),
    "very many digits": ("title: " + "1" * 5000, "line 1: a number of more than 40 digits"),
    "an integer beyond 64 bits": (
        f"title: x\ntasks: [{{id: a, payload: {2**63}}}]",
        "tasks[0].payload: holds an integer beyond 64 bits",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    text, expected = CASES[case]
    found = problems(tmp_path, text)
    assert any(expected in one for one in found), found


JSON_CASES = {
    "no JSON": ('{"title": "x",\n}', "line 2: is not JSON"),
    "not a number": ('{"title": NaN}', "NaN is not a JSON number"),
    "very deep": ("[" * 100_000, "is nested more than 100 levels deep"),
    "a key given twice": ('{\n\t"title": "x",\n\t"title": "y"}', "line 3: title: is given twice"),
    "an unknown key": ('{"title": "x",\n "tsk": 1, "tasks": [{"id": "a"}]}', "line 2: tsk: is unk"),
}


@pytest.mark.parametrize("case", JSON_CASES)
def test_what_is_wrong_with_json_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    text, expected = JSON_CASES[case]
    found = problems(tmp_path, text, "plan.json")
    assert any(expected in one for one in found), found


def test_a_cycle_is_named_in_the_order_of_waiting(tmp_path: Path) -> None:
    [found] = problems(tmp_path, CASES["a cycle"][0])
    cycle = found.partition("itself: ")[2].partition(";")[0].split(" -> ")
    assert cycle[0] == cycle[-1]
    assert "".join(cycle) in ("acba", "cbac", "bacb")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = "titel: x\ntasks:\n- {id: a, depends_on: [b]}\n- {id: a, command: 1.0, retry: 3}\n"
    assert len(problems(tmp_path, text)) == 5


def test_files_that_are_none_are_told_apart(tmp_path: Path) -> None:
    assert problems(tmp_path, b"title: \xff") == ["is not UTF-8 text (byte 7); save it as UTF-8"]
    for path, expected in ((tmp_path, "not a regular file"), (tmp_path / "x", "does not exist")):
        with pytest.raises(InvalidPlan, match=expected):
            load_plan(path)


def test_a_plan_has_at_most_50_000_tasks(tmp_path: Path) -> None:
    def of(count: int) -> str:
        return json.dumps({"title": "x", "tasks": [{"id": f"t{n}"} for n in range(count)]})

    [found] = problems(tmp_path, of(100_000), "plan.json")
    assert found == "tasks: has 100000 entries; at most 50000 are read: split the plan"
    assert len(plan(tmp_path, of(50_000), "plan.json").tasks) == 50_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "title", "tasks", "agents", "depends_on", "env", "x"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_a_document_says_it_is_a_plan_or_it_is_refused(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    file = written(tmp_path_factory.getbasetemp(), yaml.safe_dump(value))
    with contextlib.suppress(InvalidPlan):
        load_plan(file)


def test_a_plan_is_told_from_a_recorded_workflow(tmp_path: Path) -> None:
    assert is_plan(written(tmp_path, "what: ever", "a.yaml"))
    assert is_plan(written(tmp_path, '{"title": "x", "tasks": []}', "a.json"))
    assert not is_plan(written(tmp_path, '{"name": "x", "workflow": {"tasks": []}}', "b.json"))
    assert not is_plan(written(tmp_path, "{", "c.json"))
    assert not is_plan(tmp_path / "missing.json")


def test_what_is_submitted_says_where_and_how_commands_run(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        "title: x\n"
        "defaults: {env: {A: a, B: b}, cwd: in, timeout_seconds: 5, requires: {c: 0.5}}\n"
        "tasks:\n- {id: a, command: [echo], env: {B: c}, cwd: sub, requires: []}\n"
        "- {id: b, command: echo b, depends_on: [a], retry: {max_attempts: 3}}\n",
    )
    first, second = tasks(found)
    assert first["payload"] == {
        "command": ["echo"],
        "cwd": "/base/sub",
        "env": {"A": "a", "B": "c"},
        "timeout_seconds": 5,
    }
    assert "requires" not in first
    assert first["retry"] == {"non_retryable": list(COMMAND_FAILED)}
    assert second["payload"]["cwd"] == "/base/in"
    assert second["requires"] == [{"capability": "c", "level": 0.5}]
    assert second["depends_on"] == [{"task_id": "a", "on_failure": "cancel"}]
    assert second["retry"]["max_attempts"] == 3
    assert "non_retryable" not in second["retry"] or second["retry"]["non_retryable"] == []


def test_the_digest_changes_with_the_tasks_and_not_with_the_agents(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        return tasks(plan(tmp_path, text))[0]["labels"][DIGEST_LABEL]

    more = TWO.replace("tasks:", "agents: [{name: Ada, capabilities: [x]}]\ntasks:", 1)
    assert digest(TWO) == digest(TWO) == digest(more)
    assert digest(TWO) != digest(TWO.replace("echo b", "echo c"))


def test_the_plans_id_is_the_one_asked_for_else_the_files_else_new(tmp_path: Path) -> None:
    nameless, named = plan(tmp_path, TWO), plan(tmp_path, f"id: mine\n{TWO}")
    assert plan_id_of(named, "other") == "other"
    assert plan_id_of(named, None) == "mine"
    assert plan_id_of(nameless, None).startswith("two-")
    assert plan_id_of(nameless, None) != plan_id_of(nameless, None)
    with pytest.raises(Rejected, match="--plan-id"):
        plan_id_of(named, "no spaces")


def test_agents_get_the_same_ids_in_every_run_of_a_plan(tmp_path: Path) -> None:
    text = TWO.replace("tasks:", "agents: [{name: A B, capabilities: [x], count: 2}]\ntasks:", 1)
    one, other = (staff(plan(tmp_path, text), "p", None) for _ in range(2))
    assert one == other
    assert len({agent.id for agent in one}) == 2


def test_without_agents_some_can_do_everything(tmp_path: Path) -> None:
    found = plan(tmp_path, "title: x\ntasks: [{id: a, command: b, requires: {c: 0.3, d: 1}}]")
    assert [set(agent.capabilities) for agent in staff(found, "p", 3)] == [{"c", "d"}] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: x\ntasks: [{id: a}]", "has no command"),
        (
            (
                "title: x\nagents: [{name: A, capabilities: {c: 0.4}}]\n"
                "tasks: [{id: a, command: b, requires: {c: 0.5}}]"
            ),
            "no agent of the plan has c at 0.5",
        ),
    ],
)
def test_a_plan_that_its_agents_cannot_finish_is_not_begun(
    tmp_path: Path, text: str, expected: str
) -> None:
    found = plan(tmp_path, text)
    with pytest.raises(Rejected, match=expected):
        staff(found, "p", None)
    assert expected in next(not_run(found))
