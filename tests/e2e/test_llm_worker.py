"""Agents by a language model, as processes: a stand-in's answers, tools, and workers that are
killed."""

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, answer, run, started, wait_for
from tests.e2e.server_process import checked_log, running
from tests.services.kafka import free_port

pytestmark = pytest.mark.process
STEPS = 5
FUNCTIONS = '''
import time
from pathlib import Path


def step(number: int) -> str:
    """Do the step with this number."""
    time.sleep(0.1)
    with Path("steps.txt").open("a") as file:
        file.write(f"{number}\\n")
    return f"did step {number}."
'''
PRICES = """
version: "1"
models: {gpt-4-turbo: {prompt: 1000000, cached: 1000000, completion: 1000000}}
"""
SETTINGS: dict[str, Any] = {
    "instructions": "Do the steps one after the other.",
    "tools": ["step", "get_task"],
    "result_schema": {"type": "object", "required": ["steps"]},
}


def script() -> dict[str, Any]:
    """A model that does all steps, looks at the task, and says how many steps there were."""
    calls = [
        {
            "when": {"text": "begin with the steps" if n == 1 else f"did step {n - 1}."},
            "answer": {"tool_calls": [{"name": "step", "arguments": {"number": n}}]},
        }
        for n in range(1, STEPS + 1)
    ]
    look = {"tool_calls": [{"name": "get_task", "arguments": {"task_id": "t"}}]}
    end = {"when": {"text": '"id":"t"'}, "answer": {"json": {"steps": STEPS}}}
    down = {"when": {"text": "nobody answers"}, "fault": "outage"}
    return {"rules": [down, end, *calls, {"when": {"text": f"did step {STEPS}."}, "answer": look}]}


class Place:
    """A server, a stand-in, a template, and a task for whoever is made from it."""

    def __init__(self, folder: Path, stand_in: str) -> None:
        self.folder = folder
        self.data = ("--data", str(folder / "data"))
        self.stand_in = stand_in
        (folder / "tools.py").write_text(FUNCTIONS, "utf-8")
        (folder / "prices.yaml").write_text(PRICES, "utf-8")
        self.call(
            "define_template", name="stepper", kind="llm", capabilities="[]", settings=SETTINGS
        )

    def begin(self, lease_seconds: int = 60, payload: str = "begin with the steps") -> None:
        """Create the task. A short lease is for workers that are killed: who only waits for the
        processor must not lose it."""
        given = {"payload": payload, "lease_seconds": lease_seconds}
        self.call("create_task", id="t", title="Steps", **given)

    def call(self, tool: str, **arguments: Any) -> Any:
        """A tool's answer."""
        words = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in arguments.items()
        ]
        return answer(self.folder, "call", tool, *words, *self.data)

    def task(self) -> dict[str, Any]:
        """The task as it is."""
        return self.call("get_task", task_id="t")["task"]

    @contextlib.contextmanager
    def worker(self, *more: str, key: str = "secret-key") -> Generator[subprocess.Popen[str]]:
        """A worker that is at work; killed at the end."""
        words = ("worker", "--template", "stepper", "--functions", "tools.py", "--json")
        words = (*words, "--prices", "prices.yaml", *more)
        variables = {"OPENAI_BASE_URL": f"{self.stand_in}/v1", "OPENAI_API_KEY": key}
        with started(self.folder, *words, *self.data, more=variables) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"agents": ["stepper"]}
            yield process

    def billed(self) -> dict[str, int]:
        """What the stand-in counted."""
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as web:
            [billed] = web.get(f"{self.stand_in}/stand-in/usage").json()["billed"]
        return billed


@pytest.fixture
def place(tmp_path: Path) -> Generator[Place]:
    (tmp_path / "script.json").write_text(json.dumps(script()), "utf-8")
    words = ("stand-in-model", "--script", "script.json", "--json")
    with running(tmp_path), started(tmp_path, *words) as process:
        assert process.stdout is not None
        yield Place(tmp_path, json.loads(process.stdout.readline())["url"])


def test_a_task_is_carried_out_with_tools(place: Place) -> None:
    place.begin()
    with place.worker():
        wait_for(lambda: place.task()["status"] == "completed", "the task to be completed")
    task, billed = place.task(), place.billed()
    assert task["result"] == {"steps": STEPS}
    usage = task["progress"]["usage"]
    assert usage["calls"] == billed["answers"] == STEPS + 2
    assert usage["prompt_tokens"] == billed["prompt_tokens"]
    assert usage["completion_tokens"] == billed["completion_tokens"]
    [spent] = place.call("get_usage", by="model")["usage"]
    assert spent["calls"] == billed["answers"]
    assert spent["prompt_tokens"] == billed["prompt_tokens"]
    assert spent["completion_tokens"] == billed["completion_tokens"]
    # A micro for each token, both ways.
    assert spent["cost_micros"] == billed["prompt_tokens"] + billed["completion_tokens"]
    assert (place.folder / "steps.txt").read_text("utf-8").split() == list("12345")
    logged = run(place.folder, "agents", "logs", "stepper", "-n", "100", *place.data).stdout
    for said in ('step({"number":1})', "tool: did step 1.", "TaskCompleted", '{"steps": 5}'):
        assert said in " ".join(logged.split()), logged
    checked_log(place.folder)
    for file in (place.folder / "data").rglob("*"):
        assert not file.is_file() or b"secret-key" not in file.read_bytes(), file


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_worker_repeats_nothing_that_was_kept(place: Place) -> None:
    place.begin(lease_seconds=1)
    chance, kills = random.Random(7), 0
    while place.task()["status"] != "completed":
        with place.worker() as worker, contextlib.suppress(subprocess.TimeoutExpired):
            # Killed at any point: that is what is to make no difference.
            worker.wait(chance.uniform(0.5, 3))
        kills += 1
        assert kills < 50
    task, billed = place.task(), place.billed()
    assert task["result"] == {"steps": STEPS}
    messages = task["progress"]["messages"]
    told = [one["content"] for one in messages if one["role"] == "tool"][:-1]
    assert told == [f"did step {n}." for n in range(1, STEPS + 1)]
    calls = task["progress"]["usage"]["calls"]
    assert calls == STEPS + 2
    # What was under way when a worker was killed may have been done, and is done again.
    assert billed["answers"] <= calls + kills
    done = (place.folder / "steps.txt").read_text("utf-8").split()
    assert len(done) <= STEPS + kills
    assert sorted(set(done)) == list("12345")
    assert done == sorted(done)
    checked_log(place.folder)


def test_a_budget_ends_what_would_cost_more(place: Place) -> None:
    place.begin()
    place.call("set_budget", limit_micros=12_000, task_id="t")
    with place.worker():
        wait_for(lambda: place.task()["status"] == "failed", "the task to fail")
    assert place.task()["error_type"] == "budget_exceeded"
    [budget] = place.call("list_budgets")["budgets"]
    assert 0 < budget["spent_micros"] <= 12_000
    assert budget["reserved_micros"] == 0
    billed = place.billed()
    assert budget["spent_micros"] == billed["prompt_tokens"] + billed["completion_tokens"]


def test_a_budget_that_asks_is_raised_and_the_task_goes_on(place: Place) -> None:
    def asked() -> list[dict[str, Any]]:
        return place.call("list_conversations", task_id="t")["conversations"]

    place.begin()
    place.call("set_budget", limit_micros=0, task_id="t", on_exceeded="ask")
    with place.worker():
        # Tried again and again: it is one question all the same.
        wait_for(lambda: place.task()["attempt"] >= 2, "the task to be tried again")
        [conversation] = asked()
        [question] = place.call("list_messages", conversation_id=conversation["id"])["messages"]
        assert (question["kind"], question["author"]) == ("question", "stepper")
        enough = question["data"]["enough_micros"]
        assert f"set_budget limit_micros={enough} task_id=t." in question["text"]
        # The question is about one call; this is enough for all of them.
        place.call("set_budget", limit_micros=STEPS * 3 * enough, task_id="t")
        raised = time.monotonic()
        wait_for(lambda: place.task()["status"] == "completed", "the task to go on")
        assert time.monotonic() - raised < 60
    assert [one["id"] for one in asked()] == [conversation["id"]]
    assert place.task()["result"] == {"steps": STEPS}
    checked_log(place.folder)


def test_the_breaker_of_the_model_is_shown_with_the_agent(place: Place) -> None:
    def state() -> str:
        return place.call("get_agent", agent_id="stepper")["agent"]["circuit_breaker_state"]

    place.begin(payload="nobody answers")
    port = str(free_port())
    with place.worker("--metrics-port", port):
        wait_for(lambda: state() == "open", "the breaker to be reported")
        metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    service = f"model gpt-4-turbo at {place.stand_in}/v1"
    assert f'circuit_breaker_state{{service="{service}",state="open"}} 1.0' in metrics
    assert 'model_calls_total{model="gpt-4-turbo",outcome="model_unavailable"}' in metrics
    status = place.call("circuit_breaker_status")
    assert status["circuit_breakers"] == []
    [shown] = status["agents"]
    assert (shown["id"], shown["state"], shown["service"]) == ("stepper", "open", service)
    # It was killed: the next one says how it is.
    with place.worker():
        wait_for(lambda: state() == "closed", "the new process to report")
    assert place.call("circuit_breaker_status")["agents"] == []
    assert checked_log(place.folder)["events"]["CircuitBreakerChanged"] == 2


def test_a_port_that_is_taken_is_refused(place: Place) -> None:
    port = place.stand_in.rpartition(":")[2]
    words = ("worker", "--template", "stepper", "--metrics-port", port, *place.data)
    done = run(place.folder, *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"metrics_port: {port} cannot be listened on" in done.stderr


def test_what_cannot_work_is_refused(place: Place) -> None:
    place.call("register_agent", id="ada", name="Ada", kind="human", capabilities="[]")
    others: dict[str, Any] = {"other": {"tools": ["fly"]}, "broken": {"tool": []}}
    for name, settings in others.items():
        place.call("define_template", name=name, kind="llm", capabilities="[]", settings=settings)
    for words, code, said in (
        ((), 3, "name whom to let work: --module, --template, --agent or --coordinator"),
        (("--template", "unknown"), 5, "there is no template unknown"),
        (("--agent", "ada"), 3, "agent: ada is of kind human and was made from no template"),
        (("--template", "other"), 3, "tools: this worker offers no tool fly"),
        (("--template", "broken"), 3, "settings of broken:1: Object contains unknown field"),
    ):
        done = run(place.folder, "worker", *words, *place.data)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr
