"""Loading recorded workflows: what is accepted, and where in the document a bad one is wrong."""

import copy
import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers import wfformat
from agent_orchestration.workers.program_names import ID_PATTERN, as_id, capability_ids
from agent_orchestration.workers.wfformat import Workflow, load_workflow, parse_workflow

SPECIFIED = "workflow.specification.tasks"
EXECUTED = "workflow.execution.tasks"

Edges = dict[str, list[str]]


def document(parents: Edges) -> dict[str, Any]:
    """A valid document from each task's parents; every task ran `work` for a second."""
    children: Edges = {task: [] for task in parents}
    for task, names in parents.items():
        for name in names:
            children.setdefault(name, []).append(task)
    specified = [
        {"id": task, "name": task, "parents": names, "children": children[task]}
        for task, names in parents.items()
    ]
    executed = [
        {"id": task, "runtimeInSeconds": 1, "command": {"program": "work"}} for task in parents
    ]
    return {
        "name": "sample",
        "schemaVersion": "1.5",
        "workflow": {"specification": {"tasks": specified}, "execution": {"tasks": executed}},
    }


DIAMOND: Edges = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def parse(value: Any) -> Workflow:
    return parse_workflow(json.dumps(value).encode())


def refusal(raw: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_workflow(raw)
    assert caught.value.code == "bad_workflow"
    caught.value.reason.encode()
    return caught.value


def changed(*path: str | int, to: Any) -> bytes:
    """The diamond with one value replaced; `...` removes it."""
    value = copy.deepcopy(document(DIAMOND))
    place: Any = value
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(value).encode()


def specified(index: int, key: str, to: Any) -> bytes:
    return changed("workflow", "specification", "tasks", index, key, to=to)


def executed(index: int, key: str, to: Any) -> bytes:
    return changed("workflow", "execution", "tasks", index, key, to=to)


def test_a_workflow_has_its_tasks_with_parents_first() -> None:
    backwards = document(DIAMOND)
    backwards["workflow"]["specification"]["tasks"].reverse()
    workflow = parse(backwards)
    assert [task.id for task in workflow.tasks] == ["a", "b", "c", "d"]
    assert workflow.tasks[-1].parents == ("b", "c")
    assert workflow.capabilities == {"work": "work"}


def test_our_own_samples_are_valid() -> None:
    folder = files("agent_orchestration") / "examples"
    samples = [entry for entry in folder.iterdir() if entry.name.endswith(".json")]
    assert samples
    for sample in samples:
        workflow = parse_workflow(sample.read_bytes())
        assert "illustrative" in workflow.description


@pytest.mark.parametrize(
    ("raw", "path", "says"),
    [
        (b"", "", "not JSON"),
        (b"{", "", "not JSON"),
        (b"\xff\xfe\xfd", "", "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "", "not JSON"),
        (b"[" * 200_000, "", "nested too deeply"),
        (b"[]", "", "a list is not an object"),
        (changed("schemaVersion", to="1.4"), "schemaVersion", "1.5 is"),
        (changed("schemaVersion", to=1.5), "schemaVersion", "1.5 is not supported"),
        (changed("schemaVersion", to=...), "schemaVersion", "is missing"),
        (changed("name", to="\ud800"), "name", "lone surrogate"),
        (changed("workflow", to=...), "workflow", "is missing"),
        (changed("workflow", to=7), "workflow", "7 is not an object"),
        (changed("workflow", "execution", to=...), "workflow.execution", "is missing"),
        (changed("workflow", "specification", "tasks", to=[]), SPECIFIED, "is empty"),
        (changed("workflow", "specification", "tasks", to={}), SPECIFIED, "is not a list"),
        (changed("workflow", "execution", "tasks", to=...), EXECUTED, "is missing"),
        (changed("workflow", "execution", "tasks", to=[]), EXECUTED, "no entry for task 'a'"),
        (specified(1, "id", "a"), f"{SPECIFIED}[1].id", "'a' is used by an earlier task"),
        (specified(1, "id", ""), f"{SPECIFIED}[1].id", "is empty"),
        (specified(1, "id", None), f"{SPECIFIED}[1].id", "null is not text"),
        (specified(1, "id", "a\x1b[2J"), f"{SPECIFIED}[1].id", "control characters"),
        (specified(1, "id", "x" * 600), f"{SPECIFIED}[1].id", "600 characters long"),
        (specified(1, "name", ...), f"{SPECIFIED}[1].name", "is missing"),
        (specified(1, "parents", ...), f"{SPECIFIED}[1].parents", "is missing"),
        (specified(1, "parents", "a"), f"{SPECIFIED}[1].parents", "'a' is not a list"),
        (specified(1, "parents", [3]), f"{SPECIFIED}[1].parents[0]", "3 is not a task id"),
        (specified(1, "parents", ["a", "a"]), f"{SPECIFIED}[1].parents[1]", "listed twice"),
        (specified(3, "parents", ["x"]), f"{SPECIFIED}[3].parents[0]", "unknown task 'x'"),
        (specified(1, "children", ["\ud800"]), f"{SPECIFIED}[1].children[0]", "unknown task"),
        (specified(3, "parents", ["b"]), f"{SPECIFIED}[2].children[0]", "does not list 'c'"),
        (specified(0, "children", ["b"]), f"{SPECIFIED}[2].parents[0]", "does not list 'c'"),
        (specified(3, "parents", ["b"] * 2000), f"{SPECIFIED}[3].parents[1]", "listed twice"),
        (executed(0, "id", "x"), f"{EXECUTED}[0].id", "unknown task 'x'"),
        (executed(1, "id", "a"), f"{EXECUTED}[1].id", "has an earlier entry"),
        (executed(2, "runtimeInSeconds", ...), f"{EXECUTED}[2].runtimeInSeconds", "is missing"),
        (executed(2, "runtimeInSeconds", -1), f"{EXECUTED}[2].runtimeInSeconds", "negative"),
        (executed(2, "runtimeInSeconds", "1"), f"{EXECUTED}[2].runtimeInSeconds", "not a number"),
        (executed(2, "runtimeInSeconds", True), f"{EXECUTED}[2].runtimeInSeconds", "not a number"),
        (executed(2, "runtimeInSeconds", 1e9), f"{EXECUTED}[2].runtimeInSeconds", "than a year"),
        (executed(2, "runtimeInSeconds", 10**400), f"{EXECUTED}[2].runtimeInSeconds", "year"),
        (
            executed(2, "runtimeInSeconds", float("nan")),
            f"{EXECUTED}[2].runtimeInSeconds",
            "not a finite",
        ),
        (executed(2, "command", ...), f"{EXECUTED}[2].command", "is missing"),
        (executed(2, "command", {}), f"{EXECUTED}[2].command.program", "is missing"),
        (executed(2, "command", {"program": " "}), f"{EXECUTED}[2].command.program", "empty"),
    ],
)
def test_a_bad_document_is_refused_by_its_path(raw: bytes, path: str, says: str) -> None:
    error = refusal(raw)
    assert error.details["path"] == path
    assert says in error.reason
    assert error.reason.startswith(f"{path}:" if path else "the document:")


def test_a_cycle_is_named() -> None:
    error = refusal(
        json.dumps(document({"r": [], "a": ["r", "c"], "b": ["a"], "c": ["b"]})).encode()
    )
    assert error.details["path"] == f"{SPECIFIED}[1].parents[1]"
    assert "a -> c -> b -> a" in error.reason


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    error = refusal(json.dumps(document({"a": ["a"]})).encode())
    assert "a -> a" in error.reason


def test_a_long_cycle_is_named_in_short() -> None:
    ring: Edges = {f"t{n}": [f"t{(n + 1) % 1000}"] for n in range(1000)}
    error = refusal(json.dumps(document(ring)).encode())
    assert len(error.reason) < 300
    assert "more" in error.reason


def test_more_parents_than_the_platform_takes_are_refused() -> None:
    many = [f"p{n}" for n in range(wfformat.MAX_PARENTS + 1)]
    parents: Edges = {**{name: [] for name in many}, "end": many}
    error = refusal(json.dumps(document(parents)).encode())
    assert error.details["path"] == f"{SPECIFIED}[{len(many)}].parents"


def test_too_many_tasks_are_refused() -> None:
    value = document({"a": []})
    value["workflow"]["specification"]["tasks"] *= wfformat.MAX_TASKS + 1
    assert "100001 tasks" in refusal(json.dumps(value).encode()).reason


def test_a_hundred_thousand_tasks_in_a_chain_are_accepted() -> None:
    names = [f"t{number}" for number in range(wfformat.MAX_TASKS)]
    chain: Edges = {name: [names[n - 1]] if n else [] for n, name in enumerate(names)}
    assert [task.id for task in parse(document(chain)).tasks] == names


def _below(name: str) -> Callable[[Path], Path]:
    return lambda folder: folder / name


def _folder(folder: Path) -> Path:
    return folder


def _huge(folder: Path) -> Path:
    path = folder / "huge.json"
    with path.open("wb") as file:
        file.truncate(wfformat.MAX_FILE_BYTES + 1)
    return path


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_folder, "is a directory"),
        (_huge, "at most"),
        (_pipe, "is not a regular file"),
        (_below("none.json"), "does not exist"),
        (_below("x" * 1000), "cannot be read"),
        (_below("nul\0"), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(Rejected, match=says) as caught:
        load_workflow(make(tmp_path))
    assert caught.value.code == "bad_workflow"


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_text(json.dumps(document(DIAMOND)), "utf-8-sig")
    assert len(load_workflow(path).tasks) == 4


def test_a_program_of_one_word_is_its_capability() -> None:
    programs = {"blastall": "t", "/usr/bin/cat": "t", "C:\\tools\\sort.exe": "t", "naïve": "t"}
    assert list(capability_ids(programs).values()) == ["blastall", "cat", "sort.exe", "na-ve"]


def test_a_script_is_named_by_its_first_real_command() -> None:
    programs = {
        "mkdir bwa\n  bwa \\\n   index \\\n -p x": "A.BWA_INDEX_1",
        'gatk --java-options "-Xmx6g" MarkDuplicates \\\n --INPUT x': "A.MARK_2",
        "# comment\nINDEX=`find .`\n bwa mem -K 1 $INDEX | samtools sort": "A.BWA_MEM_3",
        "multiqc --config qc .": "A.MULTIQC_4",
        "def args = ''\ntemplate 'dump.py'": "A.DUMP_5",
        "\n\n{ }": "A.NONE_6",
        "echo 'unbalanced\nrun it": "A.RUN_7",
    }
    assert list(capability_ids(programs).values()) == [
        "bwa.index",
        "gatk.MarkDuplicates",
        "bwa.mem",
        "multiqc",
        "template",
        "script",
        "run.it",
    ]


def test_different_programs_never_share_a_capability() -> None:
    programs = {
        "tabix one": "X.TABIX_ONE_1",
        "tabix  one": "X.TABIX_TWO_2",
        "sort -a": "X.Y.SORT_3",
        "sort -b": "X.Z.SORT_4",
        "wc -l": "SAME",
        "wc -c": "SAME",
        "a/wc": "SAME",
    }
    names = capability_ids(programs)
    assert len(set(names.values())) == len(programs)
    assert names["tabix one"] == "tabix.one.TABIX_ONE"
    assert names["sort -a"] == "sort.Y.SORT"
    assert all(ID_PATTERN.fullmatch(name) for name in names.values())


@pytest.mark.parametrize("text", ["a b", "ü", "#", "x" * 300, "-x", ""])
def test_any_text_becomes_an_id(text: str) -> None:
    assert ID_PATTERN.fullmatch(as_id(text))
    assert as_id(text) != as_id(text + "?")


def test_an_id_stays_as_it_is() -> None:
    assert as_id("run-1.task_A:2") == "run-1.task_A:2"
