"""The rules of the alerts: promtool takes them, each fires and is quiet when it should, and each
has a section of the page that says what to do."""

import re
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_orchestration.app import REGISTRY
from agent_orchestration.cli import main
from tests.deploy.dashboards import MONITORING
from tests.deploy.exported import missing, series
from tests.deploy.files import ROOT
from tests.deploy.promql import uses
from tests.services.prometheus import promtool
from tests.services.run import needed

RULES = MONITORING / "alerts.yaml"
CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
PAGE = ROOT / "docs" / "operations" / "alerts.md"

Rule = dict[str, Any]

GROUPS: dict[str, list[Rule]] = {
    group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
}
ALERTS: dict[str, Rule] = {rule["alert"]: rule for rules in GROUPS.values() for rule in rules}
every_alert = pytest.mark.parametrize("name", ALERTS)


def checked(*arguments: str | Path) -> str:
    with needed("prometheus"):
        program = promtool()
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_nothing_wrong() -> None:
    assert f"{len(ALERTS)} rules found" in checked("check", "rules", "--lint=all", RULES)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_are_quiet_when_they_should(path: Path) -> None:
    assert "SUCCESS" in checked("test", "rules", path)


def test_of_each_alert_is_shown_that_it_fires_and_that_it_does_not() -> None:
    shown: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in CASES:
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for one in case["alert_rule_test"]:
                shown[one["alertname"]].add("exp_alerts" in one)
    assert {name for name, found in shown.items() if found != {True, False}} == set()


@every_alert
def test_what_is_asked_is_exported_with_these_labels(name: str) -> None:
    assert missing(ALERTS[name]["expr"]) == []


@every_alert
def test_what_is_said_has_labels_that_the_alert_has(name: str) -> None:
    rule = ALERTS[name]
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    grouping = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    known = series()
    kept = (
        {label.strip() for labels in grouping for label in labels.split(",")}
        if grouping
        else set[str]().union(*(known[one.metric] for one in uses(rule["expr"])))
    )
    assert told <= kept


@every_alert
def test_each_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations/alerts.md#{name.lower()}"
    assert f"\n### {name}\n" in PAGE.read_text("utf-8")
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_page_has_no_alert_that_there_is_not() -> None:
    assert re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE) == list(ALERTS)


def test_the_commands_of_the_page_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"`agent-orchestration ([^`]+)`", PAGE.read_text("utf-8"))
    for command in set(commands):
        match command.split():
            case ["query", name]:
                assert name == "NAME" or name in REGISTRY.queries
            case ["call", tool, *_]:
                assert tool in REGISTRY.tools
            case words:
                verb = takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, words)
                assert main([*verb, "--help"]) == 0, command
    capsys.readouterr()


def test_there_are_three_severities() -> None:
    found = {rule["labels"]["severity"] for rule in ALERTS.values()}
    assert found == {"critical", "warning", "info"}


@pytest.mark.parametrize(
    ("group", "name", "above", "lasts", "severity"),
    [
        ("agent-orchestration-alerts", "HighApiLatency", "> 1.0", "5m", "warning"),
        ("agent-orchestration-alerts", "Neo4jConnectionFailures", "> 0.1", "5m", "critical"),
        ("agent-orchestration-alerts", "KafkaConsumerLag", "> 1000", "10m", "warning"),
        ("user-experience", "HighErrorRate", "> 0.01", "2m", "critical"),
        ("user-experience", "SlowResponseTime", "> 1", "5m", "warning"),
        ("user-experience", "LowChatCompletionRate", "< 0.9", "5m", "warning"),
        ("user-experience", "HighMemoryUsage", "> 0.8", "5m", "warning"),
    ],
)
def test_alerts_have_the_figures_that_were_asked_for(
    group: str, name: str, above: str, lasts: str, severity: str
) -> None:
    assert ALERTS[name] in GROUPS[group]
    assert ALERTS[name]["expr"].endswith(above)
    assert (ALERTS[name]["for"], ALERTS[name]["labels"]["severity"]) == (lasts, severity)
