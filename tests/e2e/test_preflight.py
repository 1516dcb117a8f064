"""`doctor --preflight`: every item with what was seen of it, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import answer, run, server
from tests.e2e.server_process import running

pytestmark = pytest.mark.process

ITEMS = [
    "tables and indexes",
    "environment",
    "bus cluster",
    "database pool",
    "cache",
    "health",
    "metrics",
    "log aggregation",
    "alerts",
    "backup",
    "tls",
    "rate limits",
    "circuit breakers",
    "resource limits",
    "autoscaling",
    "disaster recovery",
]
#: What nobody can know who only sees settings and processes.
UNSEEN = {"log aggregation", "alerts", "tls", "rate limits", "autoscaling"}


def preflight(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    found = answer(folder, "doctor", "--preflight", "--data", "data", *arguments)
    assert found["ok"]
    checks = {one["name"]: one for one in found["checks"]}
    assert [name for name in checks if name in ITEMS] == ITEMS
    assert all(one["remedy"] for one in checks.values() if one["state"] in ("warn", "unchecked"))
    return checks


def test_nobody_is_told_that_what_was_not_seen_is_well(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 1}")
    checks = preflight(tmp_path)
    unseen = {name for name, one in checks.items() if one["state"] == "unchecked"}
    assert unseen == {*UNSEEN, "health", "metrics", "circuit breakers"}
    assert "no server answers at http://127.0.0.1:1" in checks["health"]["detail"]
    shown = run(tmp_path, "doctor", "--preflight", "--data", "data")
    assert shown.returncode == 0
    assert "unchecked  alerts" in shown.stdout


def test_a_running_server_is_asked(tmp_path: Path) -> None:
    settings = {"environment": "production", "backups": {"url": "backups"}}
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    with running(tmp_path) as dev:
        answer(tmp_path, "call", "create_task", "title=x", "--data", "data")
        checks = preflight(tmp_path)
        assert {checks[name]["state"] for name in ("health", "metrics", "environment")} == {"ok"}
        assert f"{dev.url}/ready" in checks["health"]["detail"]
        assert checks["circuit breakers"]["state"] == "ok"
        assert checks["backup"]["state"] == "warn"
        answer(tmp_path, "backup", "create", "--data", "data")
        backup = preflight(tmp_path)["backup"]
        assert (backup["state"], "0.0 hours old" in backup["detail"]) == ("ok", True)


def test_what_answers_and_is_not_ours_fails(tmp_path: Path) -> None:
    with server(tmp_path) as (_, said):
        (tmp_path / "config.yaml").write_text(f"server: {{url: '{said['url']}/mcp'}}")
        done = run(tmp_path, "doctor", "--preflight", "--json", "--data", "other")
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert checks["health"]["state"] == "fail"
