"""The stand-in for a model as a program, and the breakers that a server shows."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, run, server, started

pytestmark = pytest.mark.process

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_the_stand_in_says_where_it_is_answers_from_its_script_and_ends(tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text("rules: [{when: {text: hello}, answer: {text: Hi.}}]")
    words = ["stand-in-model", "--script", "script.yaml", "--port", "0", "--json"]
    with started(tmp_path, *words) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["pid"] == process.pid
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as web:
            response = web.post(f"{said['base_url']}/chat/completions", json=BODY)
            assert response.json()["choices"][0]["message"]["content"] == "Hi."
            assert response.headers["x-stand-in-model"] == "true"
            usage = web.get(f"{said['url']}/stand-in/usage").json()
            assert [billed["answers"] for billed in usage["billed"]] == [1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143


def test_the_stand_in_tells_people_how_to_use_it(tmp_path: Path) -> None:
    with started(tmp_path, "stand-in-model") as process:
        assert process.stdout is not None
        assert "OPENAI_BASE_URL=http://127.0.0.1:" in process.stdout.readline()


def test_a_script_with_a_mistake_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text("rules: [{fault: tired}]")
    done = run(tmp_path, "stand-in-model", "--script", "script.yaml")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "script.yaml" in line
    assert "rules[0].fault" in line


def test_a_server_shows_its_circuit_breakers(tmp_path: Path) -> None:
    with server(tmp_path) as (_, said):
        response = httpx2.get(f"{said['url']}/api/v1/circuit-breakers/status", trust_env=False)
        assert response.status_code == 200
        assert response.json() == {"circuit_breakers": [], "agents": []}
