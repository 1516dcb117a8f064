"""The command line on a data folder that a server owns: every verb joins it and answers."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY
from tests.e2e.program import answer, run, server, started

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose `data` is owned by a server, with an agent and two tasks."""
    home = tmp_path_factory.mktemp("cli")
    data = str(home / "data")
    with server(home, "--tools", "all"):
        skills = 'capabilities=[{"name": "python", "level": 0.8}]'
        agent = ["id=ada", "name=Ada", "kind=llm", skills]
        answer(home, "call", "register_agent", *agent, "--data", data)
        needs = 'requires=[{"capability": "python", "level": 0.5}]'
        first = ["id=first", "title=First \N{SNOWMAN}", needs]
        answer(home, "call", "create_task", *first, "--data", data)
        second = ["id=second", "title=Second", 'depends_on=["first"]']
        answer(home, "call", "create_task", *second, "--data", data)
        yield home


@pytest.fixture
def data(folder: Path) -> tuple[str, str]:
    """The option that names the owned data folder."""
    return ("--data", str(folder / "data"))


# --- call ----------------------------------------------------------------------------------------


def test_call_without_a_tool_lists_them(tmp_path: Path) -> None:
    assert {row["tool"] for row in answer(tmp_path, "call")} == set(REGISTRY.tools)


def test_call_takes_text_json_files_and_standard_input(folder: Path, data: tuple[str, str]) -> None:
    (folder / "text.txt").write_text("from a file\nwith two lines")
    (folder / "payload.json").write_text('{"deep": [1, {"a": null}]}')
    words = [
        "title=5",
        "description=@text.txt",
        "payload=@payload.json",
        'labels={"team": "x"}',
        "priority=1",
        "-",
    ]
    made = answer(folder, "call", "create_task", *words, *data, stdin='{"id": "mixed"}')["task"]
    assert (made["id"], made["title"], made["priority"]) == ("mixed", "5", 1)
    assert made["description"] == "from a file\nwith two lines"
    assert made["payload"] == {"deep": [1, {"a": None}]}
    assert made["labels"] == ["team=x"]
    literal = answer(folder, "call", "create_task", "title=@@home", *data)["task"]
    assert literal["title"] == "@home"


def test_a_repeated_call_with_one_key_is_carried_out_once(
    folder: Path, data: tuple[str, str]
) -> None:
    words = ["call", "create_task", "title=once", "idempotency_key=k-1", *data]
    first, second = answer(folder, *words), answer(folder, *words)
    assert first["task"]["id"] == second["task"]["id"]
    changed = [word.replace("title=once", "title=twice") for word in words]
    done = run(folder, *changed)
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (["call", "create_task", "title=x", "priority=9"], 3, "rejected"),
        (["call", "create_task"], 3, "rejected"),
        (["call", "get_task", "task_id=absent"], 5, "not_found"),
        (["tasks", "get", "absent"], 5, "not_found"),
        (["agents", "get", "absent"], 5, "not_found"),
        (["tasks", "list", "--status", "done"], 3, "rejected"),
        (["query", "MATCH (n) DELETE n"], 3, "rejected"),
        (["query", "--name", "absent"], 3, "rejected"),
        (["events", "tail", "--task", "not an id"], 3, "rejected"),
    ],
)
def test_a_refusal_is_one_line_and_its_own_exit_code(
    folder: Path, data: tuple[str, str], words: list[str], code: int, kind: str
) -> None:
    done = run(folder, *words, *data, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert json.loads(done.stderr)["error"] == kind
    spoken = run(folder, *words, *data)
    assert spoken.returncode == code
    (line,) = spoken.stderr.splitlines()
    assert line.startswith("error: ")


def test_control_characters_of_others_do_not_reach_the_terminal(
    folder: Path, data: tuple[str, str]
) -> None:
    answer(folder, "call", "create_task", "id=bidi", "title=a\u202eb", *data)
    shown = run(folder, "tasks", "get", "bidi", *data).stdout
    assert "\u202e" not in shown
    assert "a\N{REPLACEMENT CHARACTER}b" in shown


# --- questions -----------------------------------------------------------------------------------


def test_query_answers_cypher_with_parameters(folder: Path, data: tuple[str, str]) -> None:
    cypher = "MATCH (t:Task) WHERE t.id = $id RETURN t.title AS title"
    found = answer(folder, "query", cypher, "id=second", *data)
    assert (found["columns"], found["rows"]) == (["title"], [{"title": "Second"}])
    spoken = run(folder, "query", cypher, "id=second", *data).stdout
    assert "Second" in spoken
    assert "1 row, at event" in spoken


def test_query_answers_prepared_questions(folder: Path, data: tuple[str, str]) -> None:
    names = {row["name"] for row in answer(folder, "query")}
    assert names == set(REGISTRY.queries)
    found = answer(folder, "query", "--name", "agents_by_status", *data)
    assert {"status": "idle", "agents": 1} in found["rows"]


def test_agents_and_tasks_are_listed_and_shown(folder: Path, data: tuple[str, str]) -> None:
    assert [agent["id"] for agent in answer(folder, "agents", "list", *data)] == ["ada"]
    assert answer(folder, "agents", "list", "--status", "offline", *data) == []
    assert answer(folder, "agents", "get", "ada", *data)["name"] == "Ada"
    listed = answer(folder, "tasks", "list", "--capability", "python", *data)
    assert [task["id"] for task in listed] == ["first"]
    assert len(answer(folder, "tasks", "list", "--limit", "1", *data)) == 1
    assert answer(folder, "tasks", "get", "second", *data)["status"] == "blocked"
    table = run(folder, "tasks", "list", *data).stdout
    assert "First \N{SNOWMAN}" in table
    assert "blocked" in table
    assert run(folder, "tasks", "list", "--status", "failed", *data).stdout == "none\n"
    assert "python 0.8" in run(folder, "agents", "list", *data).stdout


def test_events_are_shown_in_order(folder: Path, data: tuple[str, str]) -> None:
    done = run(folder, "events", "tail", "--after", "0", "--json", *data)
    seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))
    last = run(folder, "events", "tail", "-n", "2", *data).stdout.splitlines()
    assert [int(line.split()[0]) for line in last] == seqs[-2:]
    created = run(folder, "events", "tail", "--type", "TaskCreated", "--task", "first", *data)
    assert len(created.stdout.splitlines()) == 1


def test_events_are_shown_from_a_time_on(folder: Path, data: tuple[str, str]) -> None:
    def since(*words: str) -> list[int]:
        done = run(folder, "events", "tail", "--json", *words, *data)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["seq"] for line in done.stdout.splitlines()]

    everything = since("--after", "0")
    assert since("--since", "1d") == since("--since", "2000-01-31T12:00:00+02:00") == everything
    assert since("--since", "1d", "--after", "1") == everything[1:]
    assert since("--since", "2999-12-31T00:00:00Z") == []
    last = run(folder, "events", "tail", "-n", "1", "--json", *data).stdout
    assert since("--since", json.loads(last)["at"])[-1] == everything[-1]


@pytest.mark.parametrize(
    "time", ["yesterday", "2026-01-31", "2026-01-31T12:00:00", "2", "9" * 20 + "d"]
)
def test_a_time_that_is_none_is_refused_with_examples(tmp_path: Path, time: str) -> None:
    done = run(tmp_path, "events", "tail", "--since", time)
    assert done.returncode == 2
    assert "is no time" in done.stderr
    assert "2026-01-31T12:00:00Z" in done.stderr
    assert "15m" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_following_events_shows_new_ones_until_interrupted(
    folder: Path, data: tuple[str, str]
) -> None:
    words = ["events", "tail", "--follow", "-n", "1", "--json", *data]
    with started(folder, *words) as process:
        assert process.stdout is not None
        before = json.loads(process.stdout.readline())["seq"]
        answer(folder, "call", "create_task", "title=new", *data)
        assert json.loads(process.stdout.readline())["seq"] == before + 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGPIPE")
def test_a_reader_that_leaves_is_no_error(folder: Path, data: tuple[str, str]) -> None:
    words = ["events", "tail", "--follow", "--after", "0", *data]
    with started(folder, *words, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        answer(folder, "call", "create_task", "title=for nobody", *data)
        assert process.stderr.read() == ""
        assert process.wait(20) == 1


def test_schema_and_topology_are_shown(folder: Path, data: tuple[str, str]) -> None:
    schema = answer(folder, "schema", "show", *data)
    assert {"Agent", "Task", "Capability"} <= {node["label"] for node in schema["nodes"]}
    assert "HAS_CAPABILITY" in run(folder, "schema", "show", *data).stdout
    text = run(folder, "topology").stdout
    assert "commands" in text
    assert "events" in text
    assert answer(folder, "topology")["topology"].strip() == text.strip()


# --- operation -----------------------------------------------------------------------------------


def test_rebuild_compares_the_graph_with_the_log(folder: Path, data: tuple[str, str]) -> None:
    result = answer(folder, "rebuild", *data)
    assert result["equal"]
    assert result["nodes"] > result["events"] > 0
    assert "the graph is what the log says" in run(folder, "rebuild", "--verify", *data).stdout
    assert "NEO4J_PASSWORD" in run(folder, "rebuild", "--into", "nowhere", *data).stderr


def test_verify_finds_every_history_whole(folder: Path, data: tuple[str, str]) -> None:
    result = answer(folder, "verify", *data)
    assert result["ok"]
    assert result["events"] > 0
    assert "every history is whole" in run(folder, "verify", *data).stdout
    unknown = run(folder, "verify", "--tenant", "nobody", *data)
    assert unknown.returncode != 0
    assert "there is no tenant nobody" in unknown.stderr


def test_verify_says_which_event_was_changed(tmp_path: Path) -> None:
    words = ("--data", "data")
    for title in ("one", "two", "three"):
        answer(tmp_path, "call", "create_task", f"title={title}", *words)
    with closing(sqlite3.connect(tmp_path / "data" / "log.sqlite")) as log, log:
        log.execute("UPDATE records SET value = CAST(replace(value, 'two', 'six') AS BLOB)")
    found = run(tmp_path, "verify", *words)
    assert found.returncode == 1
    assert re.search(r"tenant default event 3 at events/\d/2: event 2 is not the one", found.stdout)
    assert "1 PROBLEMS" in found.stdout


def test_doctor_finds_everything_in_order(folder: Path, data: tuple[str, str]) -> None:
    found = answer(folder, "doctor", *data)
    assert found["ok"]
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert {"python", "settings", "data folder", "disk space", "owner", "port"} <= set(states)
    lines = run(folder, "doctor", *data).stdout.splitlines()
    assert all(line[:4].strip() in ("ok", "warn") for line in lines)
