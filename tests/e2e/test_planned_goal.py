"""A goal that language models plan and reach, as processes: a stand-in's answers, a person who
approves over the tools, and a coordinator that is stopped while it waits."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, started, wait_for
from tests.e2e.server_process import Server, checked_log, post, running

pytestmark = pytest.mark.process
WRITE = [{"capability": "write"}]
SHAPE = {"type": "object", "required": ["lines"]}
WORDS = {"id": "words", "title": "Words", "description": "Find words.", "requires": WRITE}
SONG = {"id": "song", "title": "Song", "description": "Sing them.", "requires": WRITE}
DRAFT: dict[str, Any] = {
    "title": "A song",
    "tasks": [
        {**WORDS, "depends_on": [], "result_schema": SHAPE},
        {**SONG, "depends_on": ["words"]},
    ],
}
SCRIPT: dict[str, Any] = {
    "rules": [
        {"when": {"text": "make it shorter"}, "answer": {"json": DRAFT}},
        {"when": {"text": "Task: Plan:"}, "answer": {"json": {**DRAFT, "title": "An opera"}}},
        {"when": {"text": "Task: Words"}, "answer": {"json": {"lines": ["la"]}}},
        # It is told the result of what it waited for.
        {"when": {"text": '{"lines":["la"]}'}, "answer": {"text": "LA"}},
    ]
}


class Place:
    """A server with two templates, and a stand-in for their model."""

    def __init__(self, server: Server, http: httpx2.Client, stand_in: str) -> None:
        self.folder = server.folder
        self._http = http
        self._variables = {"OPENAI_BASE_URL": f"{stand_in}/v1", "OPENAI_API_KEY": "secret-key"}
        for name, capability in (("planner", "planning"), ("writer", "write")):
            skills = [{"name": capability}]
            self.call("define_template", name=name, kind="llm", capabilities=skills, settings={})

    def call(self, tool: str, **arguments: Any) -> Any:
        """A tool's answer."""
        status, answer = post(self._http, tool, arguments)
        assert status == 200, answer
        return answer["result"]

    def goal(self) -> dict[str, Any]:
        """The goal's task."""
        return self.call("get_task", task_id="c")["task"]

    def asks_for(self, title: str) -> bool:
        """Whether the draft with that title waits for approval."""
        progress: dict[str, Any] = self.goal().get("progress", {})
        return progress.get("stage") == "approval" and progress["draft"]["title"] == title

    @contextlib.contextmanager
    def worker(self, *words: str) -> Generator[subprocess.Popen[str]]:
        """A worker that is at work; killed at the end."""
        data = str(self.folder / "data")
        words = ("worker", "--json", "--grace-seconds", "0", *words, "--data", data)
        with started(self.folder, *words, more=self._variables) as process:
            assert process.stdout is not None
            assert "agents" in json.loads(process.stdout.readline())
            yield process


@pytest.fixture
def place(tmp_path: Path) -> Generator[Place]:
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT), "utf-8")
    words = ("stand-in-model", "--script", "script.json", "--json")
    with running(tmp_path) as server, started(tmp_path, *words) as process, server.http() as http:
        assert process.stdout is not None
        yield Place(server, http, json.loads(process.stdout.readline())["url"])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_models_plan_a_goal_and_reach_it_once_a_person_approves(place: Place) -> None:
    created = place.call("plan_goal", id="c", goal="A song")
    assert created["unstaffed"] == ["coordination"]
    with place.worker("--template", "writer"):
        with place.worker("--template", "planner", "--coordinator") as first:
            wait_for(lambda: place.asks_for("An opera"), "a draft")
            first.send_signal(signal.SIGTERM)
            assert first.wait(PATIENCE) == 0
        refusal = {"approved": False, "comment": "make it shorter"}
        said = place.call("approve_plan", task_id="c", **refusal)["message"]
        assert (said["kind"], said["data"]) == ("answer", refusal)
        with place.worker("--template", "planner"), place.worker("--coordinator"):
            wait_for(lambda: place.asks_for("A song"), "another draft")
            assert place.goal()["progress"]["draft"] == DRAFT
            place.call("approve_plan", task_id="c")
            wait_for(lambda: place.goal()["status"] == "completed", "the goal to be reached")
    assert place.goal()["result"] == {"plan_id": "c-1", "results": {"song": "LA"}}
    found = place.call("list_tasks", label="coordination=c")["tasks"]
    assert [(task["id"], task["attempt"]) for task in found] == [
        *(("c-1.song", 1), ("c-1.words", 1)),
        *(("c.draft-1", 1), ("c.draft-2", 1)),
    ]
    messages = place.call("list_messages", conversation_id="c")["messages"]
    assert [message["kind"] for message in messages] == ["note", "question", "answer"] * 2
    checked_log(place.folder)
