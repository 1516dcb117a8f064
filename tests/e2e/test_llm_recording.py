"""Workers that record what models and tools answer, are killed, and are replayed without them."""

import contextlib
import json
import random
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import run, started, wait_for
from tests.e2e.server_process import checked_log, running
from tests.e2e.test_llm_worker import FUNCTIONS, SETTINGS, STEPS, Place, script
from tests.e2e.watched_model import Watch, watched

pytestmark = pytest.mark.process
KEY = "sk-secret-of-the-worker"
TELLS = f'return f"did step {{number}}. The key is {KEY}, a pin is 1234567."'
NOBODY = "http://127.0.0.1:9"
REDACT = "recording: {redact: ['pin is [0-9]+']}\n"


def prepared(folder: Path, stand_in: str) -> Place:
    """A place whose tool tells secrets."""
    place = Place(folder, stand_in)
    tells = FUNCTIONS.replace('return f"did step {number}."', TELLS)
    assert tells != FUNCTIONS
    (folder / "tools.py").write_text(tells, "utf-8")
    (folder / "config.yaml").write_text(REDACT, "utf-8")
    return place


@contextlib.contextmanager
def fresh(folder: Path) -> Generator[Place]:
    """An empty installation without any service of models."""
    folder.mkdir()
    with running(folder):
        yield prepared(folder, NOBODY)


def ended(place: Place) -> dict[str, Any]:
    wait_for(lambda: place.task()["status"] in ("completed", "failed"), "the task to end")
    return place.task()


@pytest.fixture
def watch(tmp_path: Path) -> Generator[Watch]:
    (tmp_path / "script.json").write_text(json.dumps(script()), "utf-8")
    words = ("stand-in-model", "--script", "script.json", "--json")
    with started(tmp_path, *words) as process:
        assert process.stdout is not None
        target = json.loads(process.stdout.readline())["url"]
        with watched(Watch(target, tmp_path / "kept", random.Random(11))) as watch:
            yield watch


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_worker_asks_nothing_again_and_the_whole_is_replayed_without_a_model(
    tmp_path: Path, watch: Watch
) -> None:
    kills = 0
    with running(tmp_path):
        place = prepared(tmp_path, watch.url)
        place.begin(lease_seconds=1)
        while place.task()["status"] != "completed":
            with place.worker("--record", "kept", key=KEY) as worker:
                watch.worker = worker
                assert worker.stdout is not None
                # Its output ends when it is killed.
                kills += all(json.loads(line)["change"] != "completed" for line in worker.stdout)
        task = place.task()
        [usage] = place.call("get_usage", by="task")["usage"]
        checked_log(tmp_path)
    assert kills > 2
    assert task["result"] == {"steps": STEPS}
    assert watch.asked_again == []
    assert [number for _, number in watch.answered()] == list(range(1, STEPS + 3))
    # What was under way when a worker was killed had no answer to use.
    lost = len(watch.asked) - len(watch.answered())
    assert 0 <= lost <= kills
    bills = [one["bill"]["cost_micros"] for one in watch.entries() if one["of"] == "model"]
    assert usage["cost_micros"] - usage["unconfirmed_micros"] == sum(bills)
    assert usage["reserved_micros"] == 0
    [kept] = (tmp_path / "kept").glob("*.jsonl")
    for secret in (KEY, "1234567"):
        assert secret not in kept.read_text("utf-8")
    (tmp_path / "steps.txt").unlink()

    with fresh(tmp_path / "again") as place:
        place.begin()
        with place.worker("--replay", str(tmp_path / "kept"), key=""):
            again = ended(place)
        assert again["result"] == task["result"]
        told = json.dumps(task["progress"]).replace(KEY, "[redacted]")
        told = told.replace("a pin is 1234567", "a [redacted]")
        assert json.dumps(again["progress"]) == told
        assert place.call("get_usage", by="task")["usage"] == []
        assert not (tmp_path / "again" / "steps.txt").exists()

    with fresh(tmp_path / "changed") as place:
        settings = {**SETTINGS, "instructions": "Do the steps in any order."}
        words = {"name": "stepper", "kind": "llm", "capabilities": "[]"}
        place.call("define_template", **words, settings=settings)
        place.begin()
        with place.worker("--replay", str(tmp_path / "kept"), key=""):
            failed = ended(place)
        assert failed["error_type"] == "not_recorded"
        assert "messages[0] is not what it was then" in failed["error"]


def test_what_cannot_be_recorded_or_replayed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    for words, said in (
        (("--template", "t", "--record", "file"), "--record: file is no folder"),
        (("--template", "t", "--replay", "none"), "--replay: there is no folder none"),
        (("--template", "t", "--record", "a", "--replay", "a"), "replay: --record is given, too"),
        (("--module", "m", "--record", "a"), "module: functions are not recorded"),
    ):
        done: subprocess.CompletedProcess[str] = run(tmp_path, "worker", *words)
        assert (done.returncode, done.stdout) == (3, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr
