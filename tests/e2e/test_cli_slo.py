"""`slo`: a server is asked how it was since it began."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import answer, run, server
from tests.tokens import ISSUER, SECRET

pytestmark = pytest.mark.process
KEPT = """
response_time:
  - {name: slow, source: histogram, of: {metric: tool_call_duration_seconds}, quantile: 0.5,
     at_most: 60, unit: seconds}
"""
MISSED = KEPT.replace("at_most: 60", "at_least: 60")


def told(folder: Path, *words: str, **more: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what is said of each objective."""
    done = run(folder, "slo", *words, "--data", "data", "--json", **more)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["ok"] == (done.returncode == 0)
    return done.returncode, {one["name"]: one for one in said["targets"]}


def test_it_says_what_is_met_what_is_missed_and_what_nobody_measures(tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text(KEPT)
    (tmp_path / "missed.yaml").write_text(MISSED)
    (tmp_path / "goal.yaml").write_text(MISSED.replace("unit:", "goal: true, unit:"))
    with server(tmp_path):
        for number in range(5):
            answer(tmp_path, "call", "create_task", f"title=T{number}", "--data", "data")
        _, found = told(tmp_path)
        assert told(tmp_path, "kept.yaml")[0] == 0
        assert told(tmp_path, "missed.yaml")[0] == 1
        assert told(tmp_path, "goal.yaml")[0] == 0
        shown = run(tmp_path, "slo", "missed.yaml", "--data", "data")
    for name in ("gateway_p50", "orchestrator_p99", "messages_p95"):
        assert found[name]["value"] > 0
    assert (found["api_errors"]["state"], found["api_errors"]["value"]) == ("met", 0)
    assert found["gateway_requests"]["state"] == "not measured"
    assert "not more was asked for" in found["gateway_requests"]["reason"]
    assert found["availability"]["reason"] == "there is no up here"
    assert found["signups"]["reason"] == "users are added by administrators"
    assert shown.returncode == 1
    assert "response_time.slow" in shown.stdout
    assert "≥ 60 seconds" in shown.stdout
    assert shown.stdout.endswith("0 met, 1 missed, 0 not measured\n")


def test_what_measures_nothing_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(KEPT.replace("tool_call_duration", "other_duration"))
    (tmp_path / "none.yaml").write_text("{}")
    with server(tmp_path):
        code, found = told(tmp_path, "other.yaml")
        assert (code, found["slow"]["state"]) == (1, "not measured")
        assert told(tmp_path, "none.yaml") == (1, {})


def test_a_server_that_asks_who_calls_tells_who_owns_its_folder(tmp_path: Path) -> None:
    settings = {"auth": {"issuer": ISSUER, "audience": "me"}, "server": {}}
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    more = {"JWT_SECRET_KEY": SECRET}
    with server(tmp_path, more=more) as (_, said):
        # What was refused is in the metrics, so there is something.
        refused = run(tmp_path, "--server", said["url"], "slo", more=more)
        assert refused.returncode == 10, refused.stderr
        assert told(tmp_path, more=more)[1]["api_errors"]["state"] == "met"


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "slo", "--data", "data")
    assert (done.returncode, done.stdout) == (8, "")
    assert "start `dev` there" in done.stderr
    shared = {"AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j", "NEO4J_PASSWORD": "only-for-tests"}
    done = run(tmp_path, "slo", more=shared)
    assert done.returncode == 8
    assert "a Prometheus with --prometheus" in done.stderr
    assert not (tmp_path / "data").exists()
