"""The newcomer's first minute: a company, a job, a worker killed in the middle, the job done."""

import hashlib
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import answer, run

pytestmark = [pytest.mark.process, pytest.mark.slow]


def documents(folder: Path) -> Path:
    """Some documents: text, two that are equal, one that is no text, and things to leave alone."""
    docs = folder / "docs"
    (docs / "more").mkdir(parents=True)
    (docs / ".hidden").mkdir()
    (docs / "one.txt").write_text("alpha beta beta\ngamma\n", "utf-8")
    (docs / "more" / "same.txt").write_text("alpha beta beta\ngamma\n", "utf-8")
    (docs / "picture.bin").write_bytes(b"\0\xff\0")
    (docs / "Ünï \N{SNOWMAN}.md").write_text("beta delta\n", "utf-8")
    (docs / "empty.txt").touch()
    (docs / ".hidden" / "secret.txt").write_text("secret", "utf-8")
    (docs / "link.txt").symlink_to(docs / "one.txt")
    return docs


def digest(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_killed_workers_task_is_finished_by_a_colleague(tmp_path: Path) -> None:
    docs = documents(tmp_path)
    before = digest(docs)
    told = answer(tmp_path, "demo", "--folder", str(docs), "--data", "data")
    assert told["status"] == "completed"
    assert told["seconds"] < 60
    killed, task = told["killed"], told["explanation"]["task"]
    assert killed["attempt"] == 1
    assert (task["status"], task["attempt"]) == ("completed", 2)
    assert task["agent_id"] != killed["agent_id"]
    kinds = [event["type"] for event in told["explanation"]["events"]]
    assert kinds.count("TaskClaimed") == 2
    assert kinds.index("TaskLeaseExpired") < len(kinds) - 1
    assert {member["name"] for member in told["team"]["members"]} == {"Ada", "Ben", "Cleo", "Dora"}
    report: dict[str, Any] = told["report"]
    assert report["totals"]["read"] == 5
    assert report["totals"]["binary"] == 1
    assert report["totals"]["words"] == 10
    assert report["duplicates"]["groups"] == [["more/same.txt", "one.txt"]]
    assert report["words"]["most_used"][0] == ["beta", 5]
    assert all(asked["rows"] for asked in told["questions"])
    assert digest(docs) == before


def test_it_can_be_played_again_and_what_it_says_to_type_works(tmp_path: Path) -> None:
    first = answer(tmp_path, "demo", "--data", "data")
    assert first["plan_id"] == "inventory"
    done = run(tmp_path, "demo", "--data", "data")
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "Team inventory-2-team: Ada, Ben, Cleo, Dora",
        "KILLED the process of ",
        "LEASE EXPIRED: ",
        ", attempt 2",
        "TaskLeaseExpired by timer",
        "The job is completed",
    ):
        assert expected in done.stdout
    typed = [line for line in done.stdout.splitlines() if line.startswith("  agent-orchestration")]
    assert len(typed) == 5
    for line in typed[:4]:  # the last one serves until it is ended
        words = shlex.split(line)[1:]
        again = run(tmp_path, *words)
        assert again.returncode == 0, again.stderr
        assert again.stdout.strip()


def test_a_folder_without_documents_is_refused_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, expected in (("empty", "holds no document"), ("missing", "is no folder")):
        done = run(tmp_path, "demo", "--folder", folder, "--data", "data")
        assert done.returncode == 3
        assert expected in done.stderr
    assert not (tmp_path / "data").exists()
