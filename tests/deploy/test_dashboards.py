"""The dashboards of Grafana: what they show is exported, and they are what was described."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboards import FOLDER, files
from tests.deploy.exported import missing, silent
from tests.deploy.files import ROOT
from tests.deploy.promql import Use, grouped, uses
from tests.services.prometheus import promtool
from tests.services.run import needed

BY_HAND = FOLDER / "agent_metrics.json"
FILES = sorted(FOLDER.glob("*.json"))
every_dashboard = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def content(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def targets(path: Path) -> list[dict[str, Any]]:
    return [target for panel in content(path)["panels"] for target in panel["targets"]]


def test_the_files_are_what_is_described() -> None:
    assert {path: path.read_text("utf-8") for path in FILES if path != BY_HAND} == files()


@every_dashboard
def test_what_is_shown_is_exported_with_these_labels(path: Path) -> None:
    found = {one["expr"]: missing(one["expr"]) for one in targets(path)}
    assert {expression: lacks for expression, lacks in found.items() if lacks} == {}


def test_promtool_takes_every_expression(tmp_path: Path) -> None:
    shown = {one["expr"] for path in FILES for one in targets(path)}
    rules = [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(sorted(shown))]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    with needed("prometheus"):
        program = promtool()
    done = subprocess.run(
        [program, "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@every_dashboard
def test_legends_name_what_lines_are_told_apart_by(path: Path) -> None:
    for one in targets(path):
        assert set(re.findall(r"{{(\w+)}}", one["legendFormat"])) <= grouped(one["expr"]), one


def test_every_measure_is_written_to() -> None:
    assert silent(ROOT / "agent_orchestration") == set()


def test_what_nobody_exports_is_found() -> None:
    assert missing("sum(rate(no_such_total[5m]))") == [Use("no_such_total", frozenset())]
    by_nobody = missing("sum by (tool) (rate(http_requests_total[5m]))")
    assert by_nobody == [Use("http_requests_total", frozenset({"tool"}))]
    matched = missing('max(http_request_duration_seconds_count{le="1.0"}) or vector(0)')
    assert matched == [Use("http_request_duration_seconds_count", frozenset({"le"}))]
    assert missing('histogram_quantile(0.9, up{job="x"} offset 1d) > bool 3 and up unless up') == []


@pytest.mark.parametrize(
    "expression", ["sum(up) by (job)", "up * on (job) up", "sum by job (up)", "up $ 3"]
)
def test_expressions_of_another_form_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|bracket"):
        uses(expression)


def test_each_has_a_name_and_an_address_of_its_own() -> None:
    found = [content(path) for path in FILES]
    assert len({one["uid"] for one in found}) == len({one["title"] for one in found}) == len(FILES)
    assert {"System Overview", "Agent Performance", "Task Flow", "Event Pipeline"} < {
        one["title"] for one in found
    }


@every_dashboard
def test_panels_are_beside_each_other(path: Path) -> None:
    taken = [
        (place["x"] + across, place["y"] + down)
        for place in (panel["gridPos"] for panel in content(path)["panels"])
        for across in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(across for across, _ in taken) < 24


def test_the_interactions_of_agents_are_shown_as_asked_for() -> None:
    found = content(BY_HAND)
    assert (found["uid"], found["title"], found["schemaVersion"]) == (
        "agentMetrics",
        "Agent Metrics",
        27,
    )
    assert (found["style"], found["time"]) == ("dark", {"from": "now-6h", "to": "now"})
    [panel] = found["panels"]
    assert (panel["title"], panel["type"], panel["id"]) == ("Agent Interactions", "graph", 2)
    assert (panel["pluginVersion"], panel["gridPos"]["w"], panel["gridPos"]["h"]) == (
        "7.5.5",
        12,
        8,
    )
    [target] = panel["targets"]
    assert target["expr"] == "sum by (agent_id) (rate(agent_interactions_total[5m]))"
    [annotations] = found["annotations"]["list"]
    assert (annotations["builtIn"], annotations["name"]) == (1, "Annotations & Alerts")


def test_what_users_notice_has_a_page_of_its_own() -> None:
    found = content(FOLDER / "user_experience.json")
    assert found["title"] == "User Experience Monitoring"
    latency, errors, chats = found["panels"]
    assert [one["legendFormat"] for one in latency["targets"]] == ["p50", "p95", "p99"]
    assert grouped(errors["targets"][0]["expr"]) == {"service"}
    assert uses(chats["targets"][0]["expr"])[0].metric == "model_calls_total"
