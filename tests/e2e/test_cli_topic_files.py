"""`topics export` and `topics import` on the embedded backend, as a program."""

import gzip
import json
from pathlib import Path

import pytest

from tests.e2e.program import answer, run, server

pytestmark = pytest.mark.process


def test_a_topic_is_exported_while_nobody_is_at_work(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    with server(tmp_path):
        for name in "ab":
            answer(tmp_path, "call", "create_task", f"id={name}", f"title={name}", *data)
        busy = run(tmp_path, "topics", "export", "events", *data)
        assert (busy.returncode, busy.stdout) == (3, "")
        assert "end it, then export from it" in busy.stderr
    told = answer(tmp_path, "topics", "export", "task_events", "--to", "t.json.gz", *data)
    assert (told["file"], told["topic"], told["records"]) == ("t.json.gz", "task_events", 2)
    packed = gzip.decompress((tmp_path / "t.json.gz").read_bytes()).decode()
    # Without a name it is text for a pipe, and nothing else.
    done = run(tmp_path, "topics", "export", "task_events", *data)
    assert (done.returncode, done.stdout) == (0, packed)
    head, *rows, last = [json.loads(line) for line in packed.splitlines()]
    assert (head["topic"], last["records"]) == ("task_events", 2)
    assert [json.loads(row["value"])["task_id"] for row in rows] == ["a", "b"]
    spoken = run(tmp_path, "topics", "export", "events", "--to", "e.json", *data)
    assert spoken.stdout == "2 records of 4 partitions in e.json\n"


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    answer(tmp_path, "call", "create_task", "title=a", *data)
    file = tmp_path / "x.json"
    file.write_text("{}")
    (tmp_path / "folder").mkdir()
    for words, code, says in (
        (["export", "nonsense", *data], 5, "no topic nonsense: there are commands"),
        (["export", "events", "--data", "nowhere"], 5, "there is no log in"),
        (["export", "events", "--to", "absent/x.json", *data], 1, "No such file"),
        (["export", "events", "--to", "folder", *data], 2, "is a directory"),
        (["import", "x.json"], 3, "on Kafka only: the embedded log is one file"),
        (["import", "absent.json"], 2, "does not exist"),
    ):
        done = run(tmp_path, "topics", *words)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert says in line
    left = {path.name for path in tmp_path.iterdir()} - {".agent-orchestration"}
    assert left == {"data", "folder", "x.json"}
