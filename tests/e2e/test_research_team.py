"""The research team: it answers its question, and goes on whenever it is killed."""

import contextlib
import json
import random
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import ROOT, answer, started, wait_for
from tests.e2e.server_process import Server, checked_log, running
from tests.e2e.watched_model import Watch, watched

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
EXAMPLE = ROOT / "examples" / "research_team"
TEAM = ("planner", "economist", "engineer", "lawyer", "reviewer")
#: The draft, what three look up and find, the report.
CALLS = 1 + 3 * 2 + 1
STEPS = ("tram.draft-1", *(f"tram-1.{one}" for one in ("economy", "technology", "law", "report")))


class Team:
    """The example, with a service of models that is watched."""

    def __init__(self, folder: Path, server: Server, watch: Watch) -> None:
        self.watch = watch
        self._folder = folder
        self._door = ("--server", server.url)
        for who in TEAM:
            template = (EXAMPLE / f"{who}.json").read_text("utf-8")
            answer(folder, *self._door, "call", "define_template", "-", stdin=template)
            self.call("instantiate_agent", template=who, id=who)

    def call(self, tool: str, **arguments: str) -> Any:
        """A tool's answer."""
        words = (f"{name}={value}" for name, value in arguments.items())
        return answer(self._folder, *self._door, "call", tool, *words)

    def task(self, task_id: str = "tram") -> dict[str, Any]:
        """A task as it is."""
        return self.call("get_task", task_id=task_id)["task"]

    @contextlib.contextmanager
    def worker(self) -> Generator[subprocess.Popen[str]]:
        """The whole team at work, as the example starts it; what a killed one held is soon taken
        again."""
        words = [word for who in TEAM for word in ("--agent", who)]
        words += ["--functions", str(EXAMPLE / "library.py"), "--record", "recordings"]
        words += ["--lease-seconds", "2", "--json"]
        variables = {"OPENAI_BASE_URL": f"{self.watch.url}/v1"}
        with started(
            self._folder, *self._door, "worker", "--coordinator", *words, more=variables
        ) as process:
            assert process.stdout is not None
            assert set(json.loads(process.stdout.readline())["agents"]) == {"coordinator", *TEAM}
            yield process

    def approved(self) -> bool:
        """Approve the plan as soon as there is one; whether it was approved."""
        progress: dict[str, Any] | None = self.task().get("progress")
        if progress is None or progress["stage"] != "approval":
            return False
        self.call("approve_plan", task_id="tram")
        return True


@pytest.fixture
def team(tmp_path: Path) -> Generator[Team]:
    words = ("stand-in-model", "--script", str(EXAMPLE / "script.yaml"), "--json")
    with running(tmp_path) as server, started(tmp_path, *words) as model:
        assert model.stdout is not None
        target = json.loads(model.stdout.readline())["url"]
        with watched(Watch(target, tmp_path / "recordings", random.Random(5))) as watch:
            yield Team(tmp_path, server, watch)
    checked_log(tmp_path)


def check(team: Team, kills: int) -> None:
    """The report is there, each step was completed once, and no answer was asked for again."""
    task = team.task()
    assert task["status"] == "completed", task
    assert task["result"]["results"]["report"]["answer"] == "not yet"
    for step in STEPS:
        view = team.task(step)
        assert view["status"] == "completed"
        asked = {"task_id": step, "type": "TaskCompleted", "limit": "200"}
        events = team.call("get_history", **asked)["events"]
        assert [event["data"]["task_id"] for event in events].count(step) == 1, events
    assert team.watch.asked_again == []
    answered = team.watch.answered()
    assert len(answered) == len(set(answered)) == CALLS
    # What was under way when a worker was killed had no answer to use.
    assert 0 <= len(team.watch.asked) - CALLS <= kills * len(TEAM)


def test_the_team_answers_its_question(team: Team) -> None:
    team.call("plan_goal", id="tram", goal="Should the town build a tram?")
    with team.worker():
        wait_for(team.approved, "a plan to approve")
        wait_for(lambda: team.task()["status"] in ("completed", "failed"), "the report")
    check(team, kills=0)


def test_a_team_that_is_killed_again_and_again_repeats_nothing(team: Team) -> None:
    team.call("plan_goal", id="tram", goal="Should the town build a tram?")
    approved, kills = False, 0
    chance = random.Random(3)
    while team.task()["status"] != "completed":
        approved = approved or team.approved()
        with team.worker() as worker, contextlib.suppress(subprocess.TimeoutExpired):
            team.watch.worker = worker
            worker.wait(chance.uniform(0.2, 2.5))
        kills += 1
        assert kills < 60
    assert kills > 1
    check(team, kills)
