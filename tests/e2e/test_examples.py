"""The examples do what they say, with a stand-in for the model."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.program import PROGRAM, ROOT, answer, started, wait_for
from tests.e2e.server_process import checked_log, running

pytestmark = pytest.mark.process
EXAMPLES = ROOT / "examples"
#: A Python that has what examples need that do not go with our own dependencies (`make nightly`).
OTHER_PYTHON = os.environ.get("AO_OTHER_PYTHON")


class Example(NamedTuple):
    """A worker's module, a task for it, and what comes of that."""

    name: str
    capability: str
    payload: Any
    result: Any
    program: Sequence[str] = PROGRAM


WORKERS = (
    Example(
        "word_count",
        "text.count",
        {"text": "to be or not to be", "most": 1},
        {"total": 6, "most_used": {"to": 2}},
    ),
    Example(
        "openai_agents_sdk",
        "support.triage",
        {"ticket": "The lift stands still"},
        {"urgency": "high", "team": "Lift team north"},
    ),
    Example(
        "pydantic_ai_agent",
        "invoice.read",
        {"text": "Two chairs, 40 EUR each"},
        {"currency": "EUR", "total": 80.0},
    ),
)
NIGHTLY = (
    Example(
        "langgraph_agent",
        "text.slogan",
        {"product": "a quiet clock"},
        "Silent time",
        (OTHER_PYTHON or "", *PROGRAM[1:]),
    ),
)


@pytest.mark.parametrize("example", NIGHTLY if OTHER_PYTHON else WORKERS, ids=lambda one: one.name)
def test_a_worker_carries_out_its_task(example: Example, tmp_path: Path) -> None:
    script = EXAMPLES / "scripts" / f"{example.name}.yaml"
    words: Sequence[str] = ("--script", str(script)) if script.exists() else ()
    with (
        running(tmp_path) as server,
        started(tmp_path, "stand-in-model", *words, "--json") as model,
    ):
        assert model.stdout is not None
        variables = {"OPENAI_BASE_URL": json.loads(model.stdout.readline())["url"] + "/v1"}
        module = str(EXAMPLES / f"{example.name}.py")
        work = ("--server", server.url, "worker", "--module", module)
        with started(tmp_path, *work, more=variables, program=example.program):
            requires = json.dumps([{"capability": example.capability}])
            payload = json.dumps(example.payload)
            door = ("--server", server.url, "call")
            words = (f"requires={requires}", f"payload={payload}", "id=t", "title=Do it")
            answer(tmp_path, *door, "create_task", *words)

            def task() -> dict[str, Any]:
                return answer(tmp_path, *door, "get_task", "task_id=t")["task"]

            wait_for(lambda: task()["status"] in ("completed", "failed"), "the task to end")
            ended = task()
            assert ended.get("result") == example.result, ended
    checked_log(tmp_path)
