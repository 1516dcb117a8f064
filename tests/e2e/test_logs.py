"""What a plan leaves in the logs of the processes on a data folder."""

import json
from pathlib import Path

import pytest

from tests.e2e.followed import AGENTS, CANARY, check, submit
from tests.e2e.program import started

pytestmark = pytest.mark.process


def test_a_plan_is_followed_from_the_server_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "shouting.py").write_text(AGENTS)
    said, worked = tmp_path / "dev.log", tmp_path / "worker.log"
    more = {"LOG_LEVEL": "DEBUG", "OPENAI_API_KEY": CANARY}
    serve = ("dev", "--json", "--port", "0", "--data", "data")
    work = ("worker", "--json", "--module", "shouting.py", "--data", "data")
    with (
        said.open("wb") as dev_log,
        worked.open("wb") as worker_log,
        started(tmp_path, *serve, more=more, stderr=dev_log) as dev,
    ):
        assert dev.stdout is not None
        url = json.loads(dev.stdout.readline())["url"]
        with started(tmp_path, *work, more=more, stderr=worker_log) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline()
            submit(url)
            check(said, said, worked)
